"""Scores of translations: corpus scores of sacrebleu, exact match, and agreement of a word.

There are two kinds of corpus scores, which cannot be compared. The first scores detokenized, cased text against the raw
references. The second is that of the Multi30k literature: both sides are lower-cased, Moses-normalized and
Moses-tokenized, and BLEU is computed over those tokens.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from importlib.metadata import version
from typing import TypeVar

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from rnnexp.core.errors import UserError
from rnnexp.core.validation import validate_choice
from rnnexp.text.writing import Writing

Group = TypeVar("Group", bound=Hashable)

PREPROCESSING = "lower-cased+moses-normalized+moses-tokenized"
LENGTH_BUCKETS = ((1, 5), (6, 10), (11, 15), (16, 20), (21, 30), (31, 50))
MOSES_LANGUAGES = frozenset({"cs", "de", "en", "fr"})
"""Languages of Multi30k with Moses rules of their own."""
DEFAULT_TOKENIZER = "13a"
"""The tokenizer of sacrebleu for text whose words are separated by spaces."""
BLEU_TOKENIZERS = (DEFAULT_TOKENIZER, "intl", "zh", "char", "none", "ja-mecab", "ko-mecab")
"""The tokenizers of sacrebleu that fetch nothing; the last two are packages of their own."""


def choose_bleu_tokenizer(name: str, writing: Writing) -> str:
    """Return the tokenizer of sacrebleu that BLEU is computed with.

    Args:
        name: one of BLEU_TOKENIZERS, or `auto`: `zh` for Chinese, `char` for other text without spaces between words
            and for text of single words, which has no sequences of four words to count; otherwise the default.
        writing: how the target language is written.

    Raises:
        ValueError: for another name.
        UserError: for a tokenizer whose package is not installed.
    """
    validate_choice("task.bleu_tokenizer", name, ("auto", *BLEU_TOKENIZERS))
    if name == "auto":
        if writing.script == "Chinese":
            return "zh"
        is_char = writing.script or not writing.spaces_separate_words or writing.words_per_sentence < 1.5
        return "char" if is_char else DEFAULT_TOKENIZER
    require_bleu_tokenizer(name)
    return name


def require_bleu_tokenizer(name: str) -> None:
    """Raise UserError for one of BLEU_TOKENIZERS whose package is not installed."""
    try:
        make_bleu(name)
    except (ImportError, RuntimeError) as error:
        raise UserError(
            f"task.bleu_tokenizer={name} needs a package that is not installed: pip install "
            f"'sacrebleu[{name.partition('-')[0]}]', or use task.bleu_tokenizer=auto"
        ) from error


def corpus_scores(
    translations: Sequence[str], references: Sequence[str], bleu_tokenizer: str = DEFAULT_TOKENIZER
) -> dict[str, float]:
    """Return scores of detokenized, cased text over the whole set.

    Args:
        translations, references: aligned sentences.
        bleu_tokenizer: one of BLEU_TOKENIZERS.

    Returns:
        `bleu` (Papineni et al., 2002, P02-1040) and `chrf` (Popović, 2015, W15-3049), from 0 to 100, with the defaults
        of sacrebleu (Post, 2018, W18-6319) but the tokenizer; `exact_match`, the share from 0 to 1 of translations that
        equal their references.

    Raises:
        ValueError: for an empty set, or one whose sides differ in length.
    """
    _require_aligned(translations, references)
    right = exact_matches(translations, references)
    return {
        "bleu": float(make_bleu(bleu_tokenizer).corpus_score(translations, [references]).score),
        "chrf": float(CHRF().corpus_score(translations, [references]).score),
        "exact_match": sum(right) / len(right),
    }


def signatures(bleu_tokenizer: str = DEFAULT_TOKENIZER) -> dict[str, str]:
    """Return sacrebleu's signature of each score of `corpus_scores`."""
    metrics = {"bleu": make_bleu(bleu_tokenizer), "chrf": CHRF()}
    for metric in metrics.values():
        metric.corpus_score(["a"], [["a"]])  # the signature needs the number of references
    return {name: str(metric.get_signature()) for name, metric in metrics.items()}


def tokenizer_of_signature(signature: str) -> str:
    """Return the tokenizer that a signature of BLEU names.

    Raises:
        ValueError: for a tokenizer outside BLEU_TOKENIZERS, or a signature without one.
    """
    tokenizer = dict(field.partition(":")[::2] for field in signature.split("|")).get("tok", "")
    # Those with a package of their own add its version: ja-mecab-0.996-IPA.
    names = [name for name in BLEU_TOKENIZERS if tokenizer == name or tokenizer.startswith(f"{name}-")]
    if not names:
        raise ValueError(f"unknown tokenizer {tokenizer!r} in the signature {signature!r}")
    return names[0]


def make_bleu(tokenizer: str) -> BLEU:
    """Return sacrebleu's BLEU over the tokens of one of BLEU_TOKENIZERS, or with `none` over words between spaces."""
    # force=True: sacrebleu warns of text that looks tokenized. That of `none` is, and sentences of an untrained network
    # may end in " .".
    return BLEU(tokenize=tokenizer, force=True)


def exact_matches(translations: Sequence[str], references: Sequence[str]) -> list[bool]:
    """Return which translations equal their references, apart from white space at the ends."""
    return [text.strip() == reference.strip() for text, reference in zip(translations, references, strict=True)]


def literature_form(sentences: Sequence[str], language: str) -> list[str]:
    """Return sentences as Multi30k's script has them: lower-cased, Moses-normalized, Moses-tokenized, in that order.

    The script is multi30k/dataset's scripts/task1-tokenize.sh (4bf9b8d) with Moses 3a0631a: `lowercase.perl |
    normalize-punctuation.perl -l LANG | tokenizer.perl -l LANG`, hyphens inside words kept. The order matters: a
    period before a lower-case word remains part of its word. The script also escapes `'` as `&apos;` and the like,
    which changes no token boundaries; this function escapes nothing.

    Translations and references are both converted, so that they do not differ in typography. The English rules
    apply to a language without Moses rules of its own.
    """
    # The import takes a second, and only these scores need it.
    from sacremoses import MosesPunctNormalizer, MosesTokenizer

    known = language if language in MOSES_LANGUAGES else "en"
    normalizer, tokenizer = MosesPunctNormalizer(lang=known), MosesTokenizer(lang=known)
    return [
        tokenizer.tokenize(normalizer.normalize(sentence.lower()), return_str=True, escape=False)
        for sentence in sentences
    ]


def literature_scores(translations: Sequence[str], references: Sequence[str], language: str) -> dict[str, float]:
    """Return `bleu` over the tokens of `literature_form`, from 0 to 100, over the whole set.

    Raises:
        ValueError: for an empty set, or one whose sides differ in length.
    """
    _require_aligned(translations, references)
    translated, expected = literature_form(translations, language), literature_form(references, language)
    return {"bleu": float(make_bleu("none").corpus_score(translated, [expected]).score)}


def literature_signature() -> str:
    """Return the signature of `literature_scores`: the preprocessing of the text, then sacrebleu's signature."""
    metric = make_bleu("none")
    metric.corpus_score(["a"], [["a"]])
    return f"{PREPROCESSING}|sacremoses:{version('sacremoses')}|{metric.get_signature()}"


def share_by(groups: Sequence[Group], right: Sequence[bool]) -> dict[Group, tuple[float, int]]:
    """Return the share that is right, from 0 to 1, and the number of samples of each group, in ascending order."""
    by_group: defaultdict[Group, list[bool]] = defaultdict(list)
    for group, is_right in zip(groups, right, strict=True):
        by_group[group].append(is_right)
    ordered = sorted(by_group.items(), key=lambda item: item[0])  # type: ignore[arg-type, return-value]
    return {group: (sum(values) / len(values), len(values)) for group, values in ordered}


def length_bucket(num_tokens: int) -> str:
    """Return the name of the bucket of a length; names sort like lengths."""
    for shortest, longest in LENGTH_BUCKETS:
        if num_tokens <= longest:
            return f"{shortest:02d}-{longest:02d}"
    return f"{LENGTH_BUCKETS[-1][1] + 1}+"


def agreement(translations: Sequence[str], references: Sequence[str], places: Sequence[int]) -> list[bool]:
    """Return for each translation whether its word at index `place` of `str.split` equals that of its reference.

    Punctuation at the end of a word is ignored; a translation that is too short is wrong.
    """
    return [
        _word(text, place) is not None and _word(text, place) == _word(reference, place)
        for text, reference, place in zip(translations, references, places, strict=True)
    ]


def _word(text: str, place: int) -> str | None:
    words = text.split()
    return words[place].rstrip(".?!,") if place < len(words) else None


def _require_aligned(translations: Sequence[str], references: Sequence[str]) -> None:
    if not translations or len(translations) != len(references):
        raise ValueError(
            f"{len(translations)} translations and {len(references)} references: give equal numbers, at least one"
        )
