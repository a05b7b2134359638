"""Multi30k: captions of Flickr images in English, German, French and Czech.

Elliott et al., 2016 (W16-3210), Elliott et al., 2017 (W17-4718) and Barrault et al., 2018 (W18-6402); the raw text of
task 1 from one commit of the GitHub repository multi30k/dataset.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from rnnexp.core.errors import UserError
from rnnexp.core.validation import expand_home, lookup
from rnnexp.data.files.compressed import BadFileError, Content, decompress, read_content
from rnnexp.data.files.download import download_files
from rnnexp.data.files.find_or_fetch import Source, find_or_fetch
from rnnexp.data.text.parallel_text import CorpusContent, read_aligned, validate_languages

COMMIT = "a3d2e0d26b56f3846f66a952536ffed4e401d05a"
ADDRESS = f"https://raw.githubusercontent.com/multi30k/dataset/{COMMIT}/data/task1/raw"
LANGUAGES = {"en": "English", "de": "German", "fr": "French", "cs": "Czech"}
NUM_LINES = {
    "train": 29_000,
    "val": 1_014,
    "test_2016_flickr": 1_000,
    "test_2017_flickr": 1_000,
    "test_2017_mscoco": 461,
    "test_2018_flickr": 1_071,
}
TESTS: Mapping[str, Sequence[str]] = {
    "test_2016_flickr": ("en", "de", "fr", "cs"),
    "test_2017_flickr": ("en", "de", "fr"),
    "test_2017_mscoco": ("en", "de", "fr"),
    "test_2018_flickr": ("en", "de", "fr", "cs"),
    "val": ("en", "de", "fr", "cs"),
}
"""The languages of each set that can be tested; the validation split too, to choose how to translate."""
PUBLISHED_SHA256 = {
    "train.en": "460a15fbd157e34a7a9957ee388c1ca247fe47af3ef25fb50442af6c274e0fc6",
    "train.de": "2c2b73fd2b548fbcde3a875e0a78d6ee94d498bfdee6bd3eae3945779e9ddf72",
    "train.fr": "5925a3c18f1587b6b54b87743106e6e8ab93618edb6f65d19eac0621f853a10d",
    "val.en": "1f2a23d992769b5b3d209b0a10dd0b77c08cceb1f20dfb97ed0aafa49d107227",
    "val.de": "660e09eb7e1da2f856ea13ee5ad3cf6d36b3d5b0b733c857e94c5747a3dfc660",
    "val.fr": "5304e444d842e962b2dda4d816b70b22a1765b15401642b7ca37a67477e708dc",
    "test_2016_flickr.en": "399a4382932c1aadd3ceb9bef1008d388a64c76d4ae4e9d4728c6f4301cac182",
    "test_2016_flickr.de": "4be6b5b3236b79c25475c6bb829800a7ce559e9ba7a1f6c2394fe4d40be46d16",
    "test_2016_flickr.fr": "cb3160d69b002bb638e66cc7612fcd56cb0af82eadc9c142dedc438afb885ef6",
}
"""SHA-256 of the uncompressed files, if it is known. Other files are accepted if they have the published number of
lines. The record of a run has the digest of every file, and whether it was compared."""


class Multi30k:
    """The corpus for one pair of languages.

    Args:
        root: the directory of all data; files are found and stored in root/multi30k, as `train.en.gz` or `train.en`.
        source_lang, target_lang: two different ones of en, de, fr, cs.
        test: the test set, one of TESTS.
        mirrors: base addresses to fetch from instead of the published one; if empty, nothing is fetched.
        timeout_seconds: how long to wait for a server to connect or to send data.

    Raises:
        ValueError: for a language or a test set that does not exist, or one that does not exist in that language.
    """

    name = "multi30k"

    def __init__(
        self,
        *,
        root: str,
        source_lang: str,
        target_lang: str,
        test: str,
        mirrors: Sequence[str] | None,
        timeout_seconds: float = 8.0,
    ) -> None:
        validate_languages(self.name, source_lang, target_lang, LANGUAGES)
        available = lookup("data.test", test, TESTS)
        for language in (source_lang, target_lang):
            if language not in available:
                pair = {source_lang, target_lang}
                tests = ", ".join(name for name, languages in TESTS.items() if pair <= set(languages))
                raise ValueError(f"{test} has no {LANGUAGES[language]}: for this pair choose data.test= one of {tests}")
        self.directory = expand_home(root) / self.name
        self.source_lang, self.target_lang, self.test = source_lang, target_lang, test
        self.addresses = [ADDRESS] if mirrors is None else list(mirrors)
        self.timeout_seconds = timeout_seconds

    @property
    def published_names(self) -> dict[str, str]:
        """The published name of each split."""
        return {"train": "train", "val": "val", "test": self.test}

    def prepare(self) -> None:
        """Fetch the files that are missing.

        Raises:
            UserError: if they cannot be fetched, with instructions.
        """
        published = dict.fromkeys(self.published_names.values())
        names = [f"{name}.{language}" for name in published for language in self._languages]
        sources: dict[str, Source] = {"mirrors": self._download} if self.addresses else {}
        self._files = find_or_fetch(f"corpus {self.name!r}", names, [self.directory], sources)

    def read(self) -> CorpusContent:
        """Read all sentence pairs, raw.

        Raises:
            UserError: if a file is truncated, corrupt or not the published one.
        """
        self.prepare()
        splits, details = {}, {"test": self.test}
        for split, name in self.published_names.items():
            source, target = (self._files[f"{name}.{language}"] for language in self._languages)
            for language, path in zip(self._languages, (source, target), strict=True):
                file = f"{name}.{language}"
                try:
                    digest = check_content(file, bytes(read_content(path)), str(path))
                except BadFileError as error:
                    raise UserError(f"{error}: replace it, or delete it to have it fetched again") from error
                details[f"sha256/{file}"] = digest if file in PUBLISHED_SHA256 else f"{digest} (not compared)"
            splits[split] = read_aligned(source, target)
        return CorpusContent(splits, details)

    @property
    def _languages(self) -> tuple[str, str]:
        return self.source_lang, self.target_lang

    def _download(self, files: Sequence[str]) -> Iterable[tuple[str, Content]]:
        published = [f"{file}.gz" for file in files]
        return download_files(published, self.addresses, accept_compressed, self.timeout_seconds)


def accept_compressed(name: str, received: bytes, url: str) -> bytes:
    """Return the `.gz` file as it was received, after checking its content; see `check_content`."""
    check_content(name.removesuffix(".gz"), decompress(received, url), url)
    return received


def check_content(file: str, text: bytes | bytearray, where: str) -> str:
    """Return the SHA-256 of an uncompressed file, after checking that it is the published one.

    Raises:
        BadFileError: naming `where`, for another digest, or another number of lines.
    """
    digest = hashlib.sha256(text).hexdigest()
    published = PUBLISHED_SHA256.get(file, digest)
    if digest != published:
        raise BadFileError(f"{where}: not the published {file} (SHA-256 {digest[:12]}..., not {published[:12]}...)")
    num_lines, expected = text.removesuffix(b"\n").count(b"\n") + 1, NUM_LINES[file.rsplit(".", 1)[0]]
    if num_lines != expected:
        raise BadFileError(f"{where}: has {num_lines:,} lines, the published {file} has {expected:,}")
    return digest
