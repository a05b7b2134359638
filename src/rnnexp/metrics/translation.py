"""How good translations are: corpus scores by sacrebleu, exact match, and whether a word that must agree does.

Two tracks that are never mixed. The first scores detokenised, cased text against the raw references. The second is the
Multi30k literature's: both sides lower-cased, Moses-normalised and Moses-tokenised, and BLEU over those tokens.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from importlib.metadata import version
from typing import TypeVar

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

Group = TypeVar("Group", bound=Hashable)

PREPROCESSING = "lower-cased+moses-normalised+moses-tokenised"
LENGTH_BUCKETS = ((1, 5), (6, 10), (11, 15), (16, 20), (21, 30), (31, 50))
MOSES_LANGUAGES = frozenset({"cs", "de", "en", "fr"})
"""Whose rules differ from English ones where Multi30k is concerned."""


def corpus_scores(translations: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Scores of detokenised, cased text over the whole set.

    Returns:
        `bleu` (Papineni et al., 2002, P02-1040) and `chrf` (Popović, 2015, W15-3049), from 0 to 100 as sacrebleu's
        defaults give them (Post, 2018, W18-6319); `exact_match`, the share from 0 to 1 of translations that are their
        references.

    Raises:
        ValueError: for an empty set, or one whose sides differ in length.
    """
    _require_aligned(translations, references)
    right = exact_matches(translations, references)
    return {
        "bleu": float(_bleu().corpus_score(translations, [references]).score),
        "chrf": float(CHRF().corpus_score(translations, [references]).score),
        "exact_match": sum(right) / len(right),
    }


def signatures() -> dict[str, str]:
    """How `corpus_scores` were computed, in sacrebleu's words, by the name of the score."""
    metrics = {"bleu": _bleu(), "chrf": CHRF()}
    for metric in metrics.values():
        metric.corpus_score(["a"], [["a"]])  # before, it does not know how many references there are
    return {name: str(metric.get_signature()) for name, metric in metrics.items()}


def _bleu() -> BLEU:
    # Forced: what an untrained network writes may end in " .", and sacrebleu would print a warning in every epoch.
    return BLEU(force=True)


def exact_matches(translations: Sequence[str], references: Sequence[str]) -> list[bool]:
    """Which translations are their references, white space at the ends aside."""
    return [ours.strip() == theirs.strip() for ours, theirs in zip(translations, references, strict=True)]


def literature_form(sentences: Sequence[str], language: str) -> list[str]:
    """Sentences as Multi30k's script has them: lower-cased, Moses-normalised, Moses-tokenised, in that order.

    The script is multi30k/dataset's scripts/task1-tokenize.sh (4bf9b8d) with Moses 3a0631a: `lowercase.perl |
    normalize-punctuation.perl -l LANG | tokenizer.perl -l LANG`, hyphens inside words kept. Lower-casing first matters:
    a full stop before a lower-case word stays with its word. The script escapes `'` as `&apos;` and the like, which
    changes no token's bounds; here nothing is escaped.

    Both sides of a comparison pass through it, so that neither differs from the other by a habit of typing. A language
    for which Moses has no rules of its own is tokenised by the English ones.
    """
    # Takes a second to import, and only the literature's track needs it.
    from sacremoses import MosesPunctNormalizer, MosesTokenizer

    known = language if language in MOSES_LANGUAGES else "en"
    normalizer, tokenizer = MosesPunctNormalizer(lang=known), MosesTokenizer(lang=known)
    return [
        tokenizer.tokenize(normalizer.normalize(sentence.lower()), return_str=True, escape=False)
        for sentence in sentences
    ]


def literature_scores(translations: Sequence[str], references: Sequence[str], language: str) -> dict[str, float]:
    """`bleu` over the tokens of `literature_form`, from 0 to 100, over the whole set.

    Raises:
        ValueError: for an empty set, or one whose sides differ in length.
    """
    _require_aligned(translations, references)
    ours, theirs = literature_form(translations, language), literature_form(references, language)
    return {"bleu": float(_literature_bleu().corpus_score(ours, [theirs]).score)}


def literature_signature() -> str:
    """How `literature_scores` were computed: what was done to the text, then sacrebleu's words."""
    metric = _literature_bleu()
    metric.corpus_score(["a"], [["a"]])
    return f"{PREPROCESSING}|sacremoses:{version('sacremoses')}|{metric.get_signature()}"


def _literature_bleu() -> BLEU:
    # Forced, or sacrebleu warns of what looks tokenised; it is.
    return BLEU(tokenize="none", force=True)


def share_by(groups: Sequence[Group], right: Sequence[bool]) -> dict[Group, tuple[float, int]]:
    """The share of what is right, from 0 to 1, and how many there are, by group in rising order."""
    members: defaultdict[Group, list[bool]] = defaultdict(list)
    for group, is_right in zip(groups, right, strict=True):
        members[group].append(is_right)
    ordered = sorted(members.items(), key=lambda item: item[0])  # type: ignore[arg-type, return-value]
    return {group: (sum(values) / len(values), len(values)) for group, values in ordered}


def length_bucket(num_tokens: int) -> str:
    """The name of the bucket that a length falls into; names sort as lengths do."""
    for shortest, longest in LENGTH_BUCKETS:
        if num_tokens <= longest:
            return f"{shortest:02d}-{longest:02d}"
    return f"{LENGTH_BUCKETS[-1][1] + 1}+"


def agreement(translations: Sequence[str], references: Sequence[str], places: Sequence[int]) -> list[bool]:
    """Whether word number `place`, as `str.split` counts, is in each translation what it is in its reference.

    Marks at the end of a word do not count; a translation that is too short is wrong.
    """
    return [
        _word(ours, place) is not None and _word(ours, place) == _word(theirs, place)
        for ours, theirs, place in zip(translations, references, places, strict=True)
    ]


def _word(text: str, place: int) -> str | None:
    words = text.split()
    return words[place].rstrip(".?!,") if place < len(words) else None


def _require_aligned(translations: Sequence[str], references: Sequence[str]) -> None:
    if not translations or len(translations) != len(references):
        raise ValueError(
            f"{len(translations)} translations and {len(references)} references: there must be as many, at least one"
        )
