"""Scores of translations, compared with sacrebleu, with values by hand, and with files of Multi30k's script."""

import logging
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec

import pytest
import sacrebleu

from rnnexp.core.errors import UserError
from rnnexp.tasks.translation.metrics import (
    agreement,
    choose_bleu_tokenizer,
    corpus_scores,
    exact_matches,
    length_bucket,
    literature_form,
    literature_scores,
    literature_signature,
    share_by,
    signatures,
    tokenizer_of_signature,
)
from rnnexp.text.writing import SPACED, describe_writing

REFERENCES = [
    "A man in an orange hat is starring at something.",
    "Two dogs run through the snow, and a child watches them.",
    "The keys to the old cabinet are on the table.",
]
TRANSLATIONS = [
    "A man in an orange hat is looking at something.",
    "Two dogs run through the snow, and a child watches them.",
    "The key to the old cabinet is on a table.",
]
TOKENIZED = ["a dog runs through the deep snow ."] * 120

scored = pytest.mark.parametrize(
    "score",
    [corpus_scores, lambda ours, theirs: literature_scores(ours, theirs, "en")],
    ids=["corpus_scores", "literature_scores"],
)
Score = Callable[[list[str], list[str]], dict[str, float]]


@pytest.fixture
def shown(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    """Return all text that has been printed or logged."""
    with caplog.at_level(logging.DEBUG):
        yield lambda: "".join(capfd.readouterr()) + caplog.text


# The first track: detokenized, cased.


def test_corpus_scores_are_sacrebleus_own() -> None:
    scores = corpus_scores(TRANSLATIONS, REFERENCES)
    assert scores.keys() == {"bleu", "chrf", "exact_match"}
    assert scores["bleu"] == sacrebleu.corpus_bleu(TRANSLATIONS, [REFERENCES]).score
    assert scores["chrf"] == sacrebleu.corpus_chrf(TRANSLATIONS, [REFERENCES]).score
    assert scores["exact_match"] == pytest.approx(1 / 3)
    assert all(type(value) is float for value in scores.values())


def test_corpus_scores_reach_the_ends_of_their_ranges() -> None:
    assert corpus_scores(REFERENCES, REFERENCES) == pytest.approx({"bleu": 100.0, "chrf": 100.0, "exact_match": 1.0})
    assert corpus_scores(["", ""], ["one", "two"]) == {"bleu": 0.0, "chrf": 0.0, "exact_match": 0.0}


def test_bleu_is_computed_over_the_whole_set_and_not_averaged_over_sentences() -> None:
    mean = sum(
        sacrebleu.sentence_bleu(ours, [theirs]).score for ours, theirs in zip(TRANSLATIONS, REFERENCES, strict=True)
    ) / len(REFERENCES)
    assert abs(corpus_scores(TRANSLATIONS, REFERENCES)["bleu"] - mean) > 0.5


def test_corpus_scores_are_cased() -> None:
    lowered = [sentence.lower() for sentence in REFERENCES]
    scores = corpus_scores(lowered, REFERENCES)
    assert scores["bleu"] < 95
    assert scores["chrf"] < 100
    assert scores["exact_match"] == 0
    assert corpus_scores(lowered, lowered)["bleu"] == pytest.approx(100)


def test_exact_match_ignores_white_space_only_at_the_ends() -> None:
    translations = [" a cat \n", "a  cat", "A cat", "a cat."]
    assert exact_matches(translations, ["a cat"] * 4) == [True, False, False, False]
    assert corpus_scores(translations, ["a cat"] * 4)["exact_match"] == 0.25


def test_signatures_are_those_of_the_metrics_that_scored() -> None:
    bleu, chrf = sacrebleu.BLEU(), sacrebleu.CHRF()
    bleu.corpus_score(TRANSLATIONS, [REFERENCES])
    chrf.corpus_score(TRANSLATIONS, [REFERENCES])
    assert signatures() == {"bleu": str(bleu.get_signature()), "chrf": str(chrf.get_signature())}


def test_signatures_name_version_tokenizer_and_case() -> None:
    bleu, chrf = signatures()["bleu"].split("|"), signatures()["chrf"].split("|")
    assert {"nrefs:1", "case:mixed", "tok:13a", "smooth:exp", f"version:{version('sacrebleu')}"} <= set(bleu)
    assert {"nrefs:1", "case:mixed", "nc:6", "nw:0", f"version:{version('sacrebleu')}"} <= set(chrf)


CHINESE = ["我今天早上在公园里看到两只狗在跳。", "他们在桌子上吃了一个苹果。"]
ALMOST_CHINESE = ["我今天早上在公园里看到两只狗在跑。", "他们在桌子上吃了一个苹果。"]


def test_text_without_spaces_is_scored_by_its_characters() -> None:
    scores = {name: corpus_scores(ALMOST_CHINESE, CHINESE, name)["bleu"] for name in ("13a", "zh", "char")}
    assert scores["13a"] < scores["zh"] == sacrebleu.corpus_bleu(ALMOST_CHINESE, [CHINESE], tokenize="zh").score
    assert 80 < scores["char"] < 100


@pytest.mark.parametrize(
    ("sentences", "tokenizer"),
    [
        (REFERENCES, "13a"),
        (CHINESE, "zh"),
        (["我 今天 早上 在 公园 里 看到 两 只 狗 。"], "zh"),
        (["私は今朝公園で二匹の犬を見ました。"], "char"),
        (["เช้านี้ฉันเห็นสุนัขสองตัวกระโดด"], "char"),
        (["오늘 아침 공원에서 개 두 마리가 뛰는 것을 보았다."], "13a"),
        (["Hund", "Katze", "Maus"], "char"),
        ([REFERENCES[0].replace(" ", "")], "char"),
    ],
)
def test_the_tokenizer_of_bleu_follows_from_the_text(sentences: list[str], tokenizer: str) -> None:
    assert choose_bleu_tokenizer("auto", describe_writing(sentences)) == tokenizer
    assert choose_bleu_tokenizer("intl", describe_writing(sentences)) == "intl"
    assert tokenizer_of_signature(signatures(tokenizer)["bleu"]) == tokenizer


def test_tokenizers_that_cannot_be_used() -> None:
    with pytest.raises(ValueError, match=r"unknown task\.bleu_tokenizer 'zhh'.*did you mean 'zh'"):
        choose_bleu_tokenizer("zhh", SPACED)
    if find_spec("MeCab") is None:
        with pytest.raises(UserError, match=r"task\.bleu_tokenizer=ja-mecab .*sacrebleu\[ja\]"):
            choose_bleu_tokenizer("ja-mecab", SPACED)


def test_tokenizers_in_signatures() -> None:
    assert tokenizer_of_signature("nrefs:1|tok:ja-mecab-0.996-IPA|version:2.6.0") == "ja-mecab"
    for signature in ("", "a", "nrefs:1|tok:x|version:2.6.0", "tok:"):
        with pytest.raises(ValueError, match="unknown tokenizer"):
            tokenizer_of_signature(signature)


# The second track: the tokenization of the Multi30k literature.

RAW_AND_PUBLISHED = [
    # Lines of test_2016_flickr.{en,de,fr} and .lc.norm.tok in multi30k/dataset, without characters that it escapes.
    (
        "en",
        "A young boy, wearing a chef's hat and apron, is cutting sausages in a kitchen.",
        "a young boy , wearing a chef &apos;s hat and apron , is cutting sausages in a kitchen .",
    ),
    (
        "de",
        'Eine Frau auf einem Boot namens "El Corazon" lässt schwarze Gewichte ins Wasser fallen.',
        "eine frau auf einem boot namens &quot; el corazon &quot; lässt schwarze gewichte ins wasser fallen .",
    ),
    (
        "de",
        "Ein Boston Terrier läuft über saftig-grünes Gras vor einem weißen Zaun.",
        "ein boston terrier läuft über saftig-grünes gras vor einem weißen zaun .",
    ),
    (
        "fr",
        "C'est un groupe de personnes flânant lors d'une sorte d'événement.",
        "c&apos; est un groupe de personnes flânant lors d&apos; une sorte d&apos; événement .",
    ),
]


@pytest.mark.parametrize(("language", "raw", "published"), RAW_AND_PUBLISHED)
def test_literature_form_equals_the_published_files(language: str, raw: str, published: str) -> None:
    unescaped = published.replace("&apos;", "'").replace("&quot;", '"')
    assert literature_form([raw], language) == [unescaped]


def test_literature_form_is_lowercased_before_tokenization() -> None:
    # Moses keeps the first full stop only before a lowercase word; otherwise it is a token by itself.
    assert literature_form(["I see a man. He runs."], "en") == ["i see a man. he runs ."]


def test_literature_form_keeps_sentences_one_to_one() -> None:
    assert literature_form([], "en") == []
    assert literature_form(["", " One. ", "Two\n"], "en") == ["", "one .", "two"]


def test_literature_form_splits_apostrophes_by_language() -> None:
    sentence = ["l'ami"]
    assert [literature_form(sentence, language)[0] for language in ("en", "fr", "de")] == [
        "l 'ami",
        "l' ami",
        "l ' ami",
    ]


@pytest.mark.parametrize("language", ["source", "target", "", "xx"])
def test_a_language_without_rules_is_tokenized_as_english(language: str) -> None:
    sentences = [*REFERENCES, "It's Mr. X's"]
    assert literature_form(sentences, language) == literature_form(sentences, "en")
    assert literature_scores(TRANSLATIONS, REFERENCES, language) == literature_scores(TRANSLATIONS, REFERENCES, "en")


def test_literature_scores_are_sacrebleus_over_those_tokens() -> None:
    ours, theirs = literature_form(TRANSLATIONS, "en"), literature_form(REFERENCES, "en")
    scores = literature_scores(TRANSLATIONS, REFERENCES, "en")
    assert scores == {"bleu": sacrebleu.corpus_bleu(ours, [theirs], tokenize="none", force=True).score}
    assert 0 < scores["bleu"] < 100
    assert literature_scores(REFERENCES, REFERENCES, "en")["bleu"] == pytest.approx(100)


def test_literature_scores_ignore_case_and_typographic_marks() -> None:
    typed = ["It's a \"big\" dog - isn't it...", "The boy said: 'no' to the girl"]
    printed = ["IT’S A “big” DOG – isn’t it…", "The Boy said: ‘no’ to the Girl"]
    assert literature_scores(printed, typed, "en")["bleu"] == pytest.approx(100)
    assert corpus_scores(printed, typed)["bleu"] < 50


def test_escaping_would_not_change_a_score() -> None:
    def escaped(sentences: list[str]) -> list[str]:
        return [sentence.replace("'", "&apos;").replace('"', "&quot;") for sentence in literature_form(sentences, "fr")]

    theirs = ["L'homme dit \"oui\" à l'enfant d'en face.", "C'est l'ami d'un autre."]
    ours = ["L'homme dit oui à l'enfant d'en face.", "C'est un ami d'un autre."]
    over_escaped = sacrebleu.corpus_bleu(escaped(ours), [escaped(theirs)], tokenize="none", force=True).score
    assert literature_scores(ours, theirs, "fr")["bleu"] == over_escaped


def test_literature_signature_names_the_text_processing() -> None:
    parts = literature_signature().split("|")
    assert parts[0] == "lower-cased+moses-normalized+moses-tokenized"
    assert f"sacremoses:{version('sacremoses')}" in parts
    assert {"nrefs:1", "tok:none", f"version:{version('sacrebleu')}"} <= set(parts)


# Both tracks.


@scored
@pytest.mark.parametrize(
    ("translations", "references"), [([], []), (["a"], []), ([], ["a"]), (["a"], ["a", "b"]), (["a", "b"], ["a"])]
)
def test_both_sides_need_equally_many_sentences_and_at_least_one(
    score: Score, translations: list[str], references: list[str]
) -> None:
    message = f"{len(translations)} translations and {len(references)} references: .* at least one"
    with pytest.raises(ValueError, match=message):
        score(translations, references)


@scored
def test_nothing_is_printed_or_logged(score: Score, shown: Callable[[], str]) -> None:
    assert score(TOKENIZED, TOKENIZED)["bleu"] == pytest.approx(100)  # sacrebleu warns from the 100th " ." on
    score(TRANSLATIONS, REFERENCES)
    signatures()
    literature_signature()
    assert shown() == ""


# Shares by group.


def test_share_by_group_in_rising_order() -> None:
    groups, right = ["b", "a", "b", "b", "a"], [True, False, False, True, False]
    by_group = share_by(groups, right)
    assert by_group == {"a": (0.0, 2), "b": (pytest.approx(2 / 3), 3)}
    assert list(by_group) == ["a", "b"]
    assert list(share_by([10, 9], [True, True])) == [9, 10]
    assert list(share_by([("b", 1), ("a", 2)], [True, True])) == [("a", 2), ("b", 1)]
    assert share_by([], []) == {}


def test_share_by_group_needs_one_answer_each() -> None:
    with pytest.raises(ValueError, match="shorter"):
        share_by(["a", "b"], [True])


@pytest.mark.parametrize(
    ("name", "shortest", "longest"),
    [
        ("01-05", 1, 5),
        ("06-10", 6, 10),
        ("11-15", 11, 15),
        ("16-20", 16, 20),
        ("21-30", 21, 30),
        ("31-50", 31, 50),
        ("51+", 51, 10_000),
    ],
)
def test_length_buckets_have_these_bounds(name: str, shortest: int, longest: int) -> None:
    assert length_bucket(shortest) == length_bucket(longest) == name


def test_names_of_length_buckets_sort_as_lengths() -> None:
    names = list(dict.fromkeys(length_bucket(length) for length in range(1, 100)))
    assert len(names) == 7
    assert names == sorted(names)


@pytest.mark.parametrize(
    ("translation", "reference", "place", "agrees"),
    [
        ("the keys are here", "the keys are there", 2, True),
        ("the keys is there", "the keys are there", 2, False),
        ("the boys slept", "the boys slept.", 2, True),
        ("the boys slept!", "the boys slept?", 2, True),
        ("the boys, slept", "the boys slept", 1, True),
        ("The boys", "the boys", 0, False),
        ("the boys", "the boys slept.", 2, False),
        ("", "the", 0, False),
        ("the boys", "the boys", 2, False),
        ("  the   boys ", "the boys", 1, True),
    ],
)
def test_agreement_of_one_word(translation: str, reference: str, place: int, agrees: bool) -> None:
    assert agreement([translation], [reference], [place]) == [agrees]


def test_agreement_is_returned_for_each_pair() -> None:
    assert agreement(["a b", "a b"], ["a c", "c b"], [0, 0]) == [True, False]
    assert agreement([], [], []) == []
    with pytest.raises(ValueError, match="shorter"):
        agreement(["a"], ["a"], [])
