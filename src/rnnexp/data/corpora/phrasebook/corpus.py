"""The phrasebook as a corpus: English and French sentences from a grammar, without a download."""

from rnnexp.core.types import Primitive
from rnnexp.core.validation import require_fraction, require_positive, validate_choice
from rnnexp.data.corpora.phrasebook.generation import HELD_OUT, PhrasebookPair, generate, split
from rnnexp.data.text.parallel_text import CorpusContent, ParallelText, validate_languages

LANGUAGES = {"en": "English", "fr": "French"}
TAGS = [field for field in PhrasebookPair._fields if field not in ("source", "target")]


class Phrasebook:
    """The phrasebook in one direction.

    Its tags are the fields of `PhrasebookPair` other than the sentences, in terms of English to French, and `place`:
    the index of the word of the target that shows whether the measured relation was translated.

    Args:
        source_lang, target_lang: en and fr, or fr and en.
        num_pairs: number of distinct pairs to generate for all splits together.
        generator_seed: the seed of the grammar.
        held_out: the unit that no two splits share: `sentence` or `combination`, see `split`.
        val_share, test_share: the approximate shares of the pairs.

    Raises:
        ValueError: for a choice outside its list, a number that is not positive, or shares that leave nothing for
            training.
    """

    name = "phrasebook"

    def __init__(
        self,
        *,
        source_lang: str,
        target_lang: str,
        num_pairs: int,
        generator_seed: int,
        held_out: str,
        val_share: float,
        test_share: float,
    ) -> None:
        validate_languages(self.name, source_lang, target_lang, LANGUAGES)
        validate_choice("data.held_out", held_out, HELD_OUT)
        require_positive(num_pairs=num_pairs)
        shares = {"val_share + test_share": val_share + test_share}
        require_fraction(val_share=val_share, test_share=test_share, **shares)
        self.source_lang, self.target_lang = source_lang, target_lang
        self.num_pairs = num_pairs
        self.generator_seed = generator_seed
        self.held_out = held_out
        self.val_share, self.test_share = val_share, test_share

    def prepare(self) -> None:
        """Do nothing: the corpus is generated."""

    def read(self) -> CorpusContent:
        """Generate all sentence pairs.

        Raises:
            ValueError: if `num_pairs` is more than the grammar can make.
        """
        pairs = generate(self.generator_seed, self.num_pairs)
        divided = split(pairs, self.held_out, self.val_share, self.test_share)
        texts = {}
        for name, chosen in divided.items():
            english, french = [pair.source for pair in chosen], [pair.target for pair in chosen]
            sources, targets = (english, french) if self.source_lang == "en" else (french, english)
            tags = {tag: [getattr(pair, tag) for pair in chosen] for tag in TAGS}
            tags["place"] = tags["agreeing" if self.target_lang == "fr" else "measured"]
            texts[name] = ParallelText(sources, targets, tags)
        details: dict[str, Primitive] = {
            "num_pairs": self.num_pairs,
            "generator_seed": self.generator_seed,
            "held_out": self.held_out,
        }
        return CorpusContent(texts, details)
