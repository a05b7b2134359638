"""Short everyday sentences in English and French from the Tatoeba project, published by manythings.org/anki.

The filter `tutorial` selects the pairs of the PyTorch tutorial "Translation with a Sequence to Sequence Network and
Attention" (Sean Robertson, 2017), which chapter 11 of Baileyswu/pytorch-exercise follows.
"""

import hashlib
import io
import re
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence

from rnnexp.core.errors import UserError
from rnnexp.core.types import Primitive
from rnnexp.core.validation import expand_home, require_fraction, validate_choice
from rnnexp.data.files.compressed import BadFileError, Content, read_content
from rnnexp.data.files.download import download_files
from rnnexp.data.files.find_or_fetch import Source, find_or_fetch
from rnnexp.data.text.parallel_text import (
    SPLITS,
    CorpusContent,
    ParallelText,
    split_lines,
    validate_languages,
)

ADDRESS = "https://www.manythings.org/anki"
ARCHIVE, MEMBER = "fra-eng.zip", "fra.txt"
LANGUAGES = {"en": "English", "fr": "French"}

Pair = tuple[str, str]
"""An English sentence and its French translation."""

MAX_WORDS = 10
ENGLISH_PREFIXES = (
    *("i am ", "i m ", "he is", "he s ", "she is", "she s "),
    *("you are", "you re ", "we are", "we re ", "they are", "they re "),
)


def normalize(sentence: str) -> str:
    """Return a sentence in lower case, without accents, and with no characters other than letters and `.!?`.

    Each of `.!?` becomes a word of its own. The rule is `normalizeString` of the PyTorch tutorial, in the version with
    10,853 pairs.
    """
    decomposed = unicodedata.normalize("NFD", sentence.lower().strip())
    if not decomposed.isascii():
        decomposed = "".join(letter for letter in decomposed if unicodedata.category(letter) != "Mn")
    return re.sub(r"[^a-zA-Z.!?]+", " ", re.sub(r"([.!?])", r" \1", decomposed))


def keep_all(pairs: Sequence[Pair]) -> list[Pair]:
    """Return every pair, raw."""
    return list(pairs)


def keep_tutorial(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs that the PyTorch tutorial keeps, normalized.

    Both sides have fewer than 10 words, and the English side begins with one of ENGLISH_PREFIXES. Words are counted as
    in the tutorial, between single spaces, `.!?` included.
    """
    normalized = [(normalize(english), normalize(french)) for english, french in pairs]
    return [
        (english.strip(), french.strip())
        for english, french in normalized
        if len(english.split(" ")) < MAX_WORDS
        and len(french.split(" ")) < MAX_WORDS
        and english.startswith(ENGLISH_PREFIXES)
    ]


FILTERS: Mapping[str, Callable[[Sequence[Pair]], list[Pair]]] = {"none": keep_all, "tutorial": keep_tutorial}


class Tatoeba:
    """The corpus in one direction.

    The split of a pair is decided by a hash of its normalized English side, so that all translations of a sentence are
    in one split, also in later versions of the file. A pair whose French side is already in another held-out split is
    left out and counted, so that no sentence of either language is in two splits.

    Args:
        root: the directory of all data; the archive is found and stored in root/tatoeba.
        path: a file to read instead: such an archive, or text with lines of `English TAB French`.
        source_lang, target_lang: en and fr, or fr and en.
        filter: `none` keeps every pair unchanged, `tutorial` those of `keep_tutorial`.
        val_share, test_share: the shares of the English sentences.
        mirrors: base addresses to fetch from instead of the published one; if empty, nothing is fetched.
        timeout_seconds: how long to wait for a server to connect or to send data.

    Raises:
        ValueError: for a choice outside its list, or shares that leave nothing for training.
    """

    name = "tatoeba"

    def __init__(
        self,
        *,
        root: str,
        path: str | None,
        source_lang: str,
        target_lang: str,
        filter: str,  # noqa: A002 (the name of the config's key)
        val_share: float,
        test_share: float,
        mirrors: Sequence[str] | None,
        timeout_seconds: float = 8.0,
    ) -> None:
        validate_languages(self.name, source_lang, target_lang, LANGUAGES)
        validate_choice("data.filter", filter, FILTERS)
        require_fraction(
            val_share=val_share, test_share=test_share, **{"val_share + test_share": val_share + test_share}
        )
        self.directory = expand_home(root) / self.name
        self.path = None if path is None else expand_home(path)
        self.source_lang, self.target_lang = source_lang, target_lang
        self.filter = filter
        self.val_share, self.test_share = val_share, test_share
        self.addresses = [ADDRESS] if mirrors is None else list(mirrors)
        self.timeout_seconds = timeout_seconds

    def prepare(self) -> None:
        """Fetch the archive if it is missing.

        Raises:
            UserError: if it cannot be fetched, with instructions.
        """
        if self.path is None:
            sources: dict[str, Source] = {"mirrors": self._download} if self.addresses else {}
            self._file = find_or_fetch(f"corpus {self.name!r}", [ARCHIVE], [self.directory], sources)[ARCHIVE]
        elif self.path.is_file():
            self._file = self.path
        else:
            raise UserError(f"data.path={self.path}: there is no such file")

    def read(self) -> CorpusContent:
        """Read all sentence pairs that the filter keeps.

        Raises:
            UserError: if the file is damaged or has another format.
        """
        self.prepare()
        try:
            content = bytes(read_content(self._file))
            text = extract_text(content, str(self._file)) if self._file.suffix == ".zip" else content
        except BadFileError as error:
            raise UserError(f"{error}: replace it, or delete it to have it fetched again") from error
        pairs = read_pairs(text, str(self._file))
        kept = FILTERS[self.filter](pairs)
        splits = divide(kept, self.val_share, self.test_share)
        details: dict[str, Primitive] = {
            # The publisher updates the file; the digest identifies the version that was read.
            f"sha256/{self._file.name}": hashlib.sha256(content).hexdigest(),
            "filter": self.filter,
            "num_read": len(pairs),
            "num_kept": len(kept),
            "num_left_out": len(kept) - sum(map(len, splits.values())),
        }
        source, target = (0, 1) if self.source_lang == "en" else (1, 0)
        texts = {
            split: ParallelText([pair[source] for pair in chosen], [pair[target] for pair in chosen])
            for split, chosen in splits.items()
        }
        return CorpusContent(texts, details)

    def _download(self, files: Sequence[str]) -> Iterable[tuple[str, Content]]:
        return download_files(files, self.addresses, accept_archive, self.timeout_seconds)


def accept_archive(_name: str, received: bytes, url: str) -> bytes:
    """Return the archive as it was received, after checking that its text can be read; see `extract_text`."""
    extract_text(received, url)
    return received


def extract_text(archive: bytes, where: str) -> bytes:
    """Return the text inside the archive.

    Raises:
        BadFileError: naming `where`, if the archive is truncated or corrupt, or has no such file.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            return opened.read(MEMBER)
    except KeyError as error:
        raise BadFileError(f"{where}: has no {MEMBER} inside") from error
    except Exception as error:  # a broken archive may raise anything
        is_html = archive.lstrip()[:1] == b"<"
        what = "an HTML page, not a zip archive" if is_html else f"a corrupt zip archive ({error})"
        raise BadFileError(f"{where}: is {what}") from error


def read_pairs(text: bytes, where: str) -> list[Pair]:
    """Return the pairs in lines of `English TAB French`, with or without a third column that names their authors.

    Raises:
        UserError: naming `where` and the line that has no tab, or is not UTF-8; or if there is none.
    """
    rows = [line.split("\t") for line in split_lines(text, where)]
    for number, row in enumerate(rows, start=1):
        if len(row) < 2:
            raise UserError(f"{where}: line {number:,}: has no tab between English and French: add it")
    if not rows:
        raise UserError(f"{where}: is empty: it needs lines of English, a tab and French")
    return [(row[0].strip(), row[1].strip()) for row in rows]


def divide(pairs: Sequence[Pair], val_share: float, test_share: float) -> dict[str, list[Pair]]:
    """Return the pairs of each split; see `Tatoeba` for the rule."""
    splits: dict[str, list[Pair]] = {split: [] for split in SPLITS}
    held_out: set[str] = set()
    drawn = [(draw(normalize(english)), (english, french)) for english, french in pairs]
    held_share = test_share + val_share
    bounds = {"test": (0.0, test_share), "val": (test_share, held_share), "train": (held_share, 1.0)}
    for split, (low, high) in bounds.items():
        chosen = [(pair, normalize(pair[1])) for number, pair in drawn if low <= number < high]
        splits[split] = [pair for pair, french in chosen if french not in held_out]
        held_out |= {french for _pair, french in chosen}
    return splits


def draw(sentence: str) -> float:
    """Return a number in [0, 1) that depends on the sentence alone."""
    return int.from_bytes(hashlib.sha256(sentence.encode()).digest()[:6]) / 2**48
