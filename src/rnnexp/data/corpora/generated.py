"""The phrasebook as a corpus: English and French made by a grammar, so that the task runs anywhere at once."""

from rnnexp.core.validation import require_fraction, require_positive, validate_choice
from rnnexp.data.corpora.phrasebook import PhrasebookPair, generate, split
from rnnexp.data.corpora.phrasebook.corpus import HELD_OUT
from rnnexp.data.text.parallel_text import CorpusContent, ParallelText, Primitive

LANGUAGES = {"en": "English", "fr": "French"}
TAGS = [field for field in PhrasebookPair._fields if field not in ("source", "target")]


class GeneratedPhrasebook:
    """The phrasebook in one direction. Its tags are the other fields of `PhrasebookPair`, in terms of the English, and
    `place`: which word of the target shows whether the measured relation was understood.

    Args:
        source_lang, target_lang: en and fr, or fr and en.
        num_pairs: distinct pairs to generate, for all splits together.
        generator_seed: of the grammar.
        held_out: what no two splits share: a `sentence` or a `combination`, see `phrasebook.split`.
        val_share, test_share: of the pairs, about.

    Raises:
        ValueError: for a choice outside its list, a number that is not positive, or shares that leave nothing for
            training.
    """

    name = "phrasebook"

    def __init__(
        self,
        source_lang: str,
        target_lang: str,
        num_pairs: int,
        generator_seed: int,
        held_out: str,
        val_share: float,
        test_share: float,
    ) -> None:
        for language in (source_lang, target_lang):
            validate_choice("language of phrasebook", language, LANGUAGES)
        if source_lang == target_lang:
            raise ValueError(
                f"data.source_lang and data.target_lang are both {source_lang!r}: choose en and fr, or fr and en"
            )
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
        """Nothing is fetched."""

    def read(self) -> CorpusContent:
        """Generates all sentence pairs.

        Raises:
            ValueError: if there are more of them than the grammar can say.
        """
        pairs = generate(self.generator_seed, self.num_pairs)
        divided = split(pairs, self.held_out, self.val_share, self.test_share)
        texts = {}
        for name, members in divided.items():
            english, french = [pair.source for pair in members], [pair.target for pair in members]
            sources, targets = (english, french) if self.source_lang == "en" else (french, english)
            tags = {tag: [getattr(pair, tag) for pair in members] for tag in TAGS}
            tags["place"] = tags["agreeing" if self.target_lang == "fr" else "measured"]
            texts[name] = ParallelText(sources, targets, tags)
        details: dict[str, Primitive] = {
            "num_pairs": self.num_pairs,
            "generator_seed": self.generator_seed,
            "held_out": self.held_out,
        }
        return CorpusContent(texts, details)
