"""Passwords, keys and tokens, which no record, message or log may show.

They are found in addresses and in the variables of the environment. What a job of a sweep needs must not be among them:
it reads its config from a record.
"""

import os
import re

MASK = "***"
SECRET_NAMES = re.compile(r"(API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|TOKEN|SECRET|PASSWORD|PASSWD)$", re.IGNORECASE)
# A shorter value may be a word that occurs elsewhere.
LEAST_LETTERS = 12
USER = re.compile(r"(?<=://)([^\s/?#:@'\"]*):([^\s/?#'\"]+)@")
TOKEN_AS_USER = re.compile(r"(?<=://)[^\s/?#:@'\"]{20,}@")
IN_QUERY = re.compile(
    r"([?&](?:[\w-]*(?:token|api[_-]?key|access[_-]?key|secret|password|passwd|pwd|signature)|key|sig|auth)=)[^&#\s'\"]+",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """Return a text with `***` for each password, key or token of an address, and for each secret of the environment.

    The text may be a whole record. Masking it again changes nothing.
    """
    if "://" in text:
        text = USER.sub(rf"\1:{MASK}@", text)
        text = TOKEN_AS_USER.sub(f"{MASK}@", text)
        text = IN_QUERY.sub(rf"\1{MASK}", text)
    for name, value in os.environ.items():
        is_secret = len(value) >= LEAST_LETTERS and SECRET_NAMES.search(name) and not value.startswith(("/", "."))
        if is_secret and value in text:
            text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", MASK, text)
    return text
