"""Short everyday sentences in English and French, from the Tatoeba project, as manythings.org/anki prepares them."""

import hashlib
import io
import re
import unicodedata
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rnnexp.core.errors import UserError
from rnnexp.core.validation import require_fraction, validate_choice
from rnnexp.data.corpora.files import find_or_fetch
from rnnexp.data.images.idx import BadFileError, read_content
from rnnexp.data.text.parallel_text import SPLITS, CorpusContent, ParallelText, Primitive, split_lines

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


def normalise(sentence: str) -> str:
    """Lower case, no accents, and of all that is not a letter only `.!?`, each a word of its own.

    The `normalizeString` of the PyTorch tutorial "Translation with a Sequence to Sequence Network and Attention" by
    Sean Robertson, as it was when it counted 10,853 pairs.
    """
    decomposed = unicodedata.normalize("NFD", sentence.lower().strip())
    if not decomposed.isascii():
        decomposed = "".join(letter for letter in decomposed if unicodedata.category(letter) != "Mn")
    return re.sub(r"[^a-zA-Z.!?]+", " ", re.sub(r"([.!?])", r" \1", decomposed))


def keep_all(pairs: Sequence[Pair]) -> list[Pair]:
    """Every pair, raw."""
    return list(pairs)


def keep_tutorial(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs that the tutorial keeps, normalised: under 10 words on both sides, and the English about who is what.

    Words are counted as the tutorial does, between single spaces, `.!?` included.
    """
    normalised = [(normalise(english), normalise(french)) for english, french in pairs]
    return [
        (english.strip(), french.strip())
        for english, french in normalised
        if len(english.split(" ")) < MAX_WORDS
        and len(french.split(" ")) < MAX_WORDS
        and english.startswith(ENGLISH_PREFIXES)
    ]


FILTERS: Mapping[str, Callable[[Sequence[Pair]], list[Pair]]] = {"none": keep_all, "tutorial": keep_tutorial}


class Tatoeba:
    """The corpus in one direction.

    A pair belongs to the split that a hash of its normalised English side says, so that all translations of a sentence
    are in one split, however the file grows. A pair whose French side then stands in a split that is held out from its
    own is left out and counted, so that no sentence of either language stands in two splits.

    Args:
        root: of all data; the archive is looked for and put in root/tatoeba.
        path: a file to read in its place: such an archive, or its text, lines of `English TAB French`.
        source_lang, target_lang: en and fr, or fr and en.
        pair_filter: `none` keeps every pair as it is, `tutorial` normalises and keeps what `keep_tutorial` does.
        val_share, test_share: of the English sentences.
        mirrors: base addresses to fetch from in place of the published one; none at all never fetches.
        timeout_seconds: how long a server may take to connect or be silent.

    Raises:
        ValueError: for a choice outside its list, or shares that leave nothing for training.
    """

    name = "tatoeba"

    def __init__(
        self,
        root: Path,
        path: Path | None,
        source_lang: str,
        target_lang: str,
        pair_filter: str,
        val_share: float,
        test_share: float,
        mirrors: Sequence[str] | None,
        timeout_seconds: float,
    ) -> None:
        for language in (source_lang, target_lang):
            validate_choice("language of tatoeba", language, LANGUAGES)
        if source_lang == target_lang:
            raise ValueError(
                f"data.source_lang and data.target_lang are both {source_lang!r}: choose en and fr, or fr and en"
            )
        validate_choice("filter of tatoeba", pair_filter, FILTERS)
        require_fraction(
            val_share=val_share, test_share=test_share, **{"val_share + test_share": val_share + test_share}
        )
        self.directory = root / self.name
        self.path = path
        self.source_lang, self.target_lang = source_lang, target_lang
        self.pair_filter = pair_filter
        self.val_share, self.test_share = val_share, test_share
        self.addresses = [ADDRESS] if mirrors is None else mirrors
        self.timeout_seconds = timeout_seconds

    def prepare(self) -> None:
        """Fetches the archive if it is not there.

        Raises:
            UserError: if it cannot be had, with what to do.
        """
        if self.path is None:
            found = find_or_fetch(
                self.directory, self.name, {ARCHIVE: extract_text}, self.addresses, self.timeout_seconds
            )
            self._file = found[ARCHIVE]
        elif self.path.is_file():
            self._file = self.path
        else:
            raise UserError(f"data.path={self.path}: there is no such file")

    def read(self) -> CorpusContent:
        """All sentence pairs that the filter keeps.

        Raises:
            UserError: if the file is not what it should be.
        """
        self.prepare()
        try:
            content = read_content(self._file).tobytes()
            text = extract_text(content, str(self._file)) if self._file.suffix == ".zip" else content
        except BadFileError as error:
            raise UserError(f"{error}: replace it, or delete it to have it fetched again") from error
        pairs = read_pairs(text, str(self._file))
        kept = FILTERS[self.pair_filter](pairs)
        splits = divide(kept, self.val_share, self.test_share)
        num_left_out = len(kept) - sum(map(len, splits.values()))
        details: dict[str, Primitive] = {
            # Its publisher replaces the file now and then: this says which one was read.
            f"sha256/{self._file.name}": hashlib.sha256(content).hexdigest(),
            "filter": self.pair_filter,
            "num_read": len(pairs),
            "num_kept": len(kept),
            "num_left_out": num_left_out,
        }
        source, target = (0, 1) if self.source_lang == "en" else (1, 0)
        texts = {
            split: ParallelText([pair[source] for pair in members], [pair[target] for pair in members])
            for split, members in splits.items()
        }
        return CorpusContent(texts, details)


def extract_text(archive: bytes, where: str) -> bytes:
    """The text inside the archive.

    Raises:
        BadFileError: naming `where`, if it is cut short, corrupt, or holds no such file.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            return opened.read(MEMBER)
    except KeyError as error:
        raise BadFileError(f"{where}: has no {MEMBER} inside") from error
    except Exception as error:  # a broken archive may raise anything
        what = "an HTML page, not a zip archive" if archive.lstrip()[:1] == b"<" else f"a corrupt zip archive ({error})"
        raise BadFileError(f"{where}: is {what}") from error


def read_pairs(text: bytes, where: str) -> list[Pair]:
    """The pairs in lines of `English TAB French`, with or without a third column that names their authors.

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
    """The pairs of each split; see Tatoeba for the rule."""
    splits: dict[str, list[Pair]] = {split: [] for split in SPLITS}
    held_out: set[str] = set()
    drawn = [(draw(normalise(english)), (english, french)) for english, french in pairs]
    held_share = test_share + val_share
    bounds = {"test": (0.0, test_share), "val": (test_share, held_share), "train": (held_share, 1.0)}
    for split, (low, high) in bounds.items():
        members = [(pair, normalise(pair[1])) for number, pair in drawn if low <= number < high]
        splits[split] = [pair for pair, french in members if french not in held_out]
        held_out |= {french for _pair, french in members}
    return splits


def draw(sentence: str) -> float:
    """A number in [0, 1) that depends on the sentence alone."""
    return int.from_bytes(hashlib.sha256(sentence.encode()).digest()[:6]) / 2**48
