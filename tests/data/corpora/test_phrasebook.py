import hashlib
import re
from collections import Counter, defaultdict

import pytest

from rnnexp.data.corpora.phrasebook import PHENOMENA, PhrasebookPair, generate, split
from support.phrasebook import CORPUS, of

TENSELESS = {"read", "cut", "shut", "hit", "put", "set"}


def english(pair: PhrasebookPair) -> list[str]:
    return re.findall(r"\w+", pair.source.lower())


def test_the_corpus_never_changes() -> None:
    lines = "\n".join("\t".join(map(str, pair)) for pair in CORPUS)
    assert (
        hashlib.sha256(lines.encode()).hexdigest() == "14afa2647f1182676f0f8d03bc05589df4d4239a6aa91796d782dc9fa49bdb05"
    )


def test_a_seed_gives_one_corpus() -> None:
    assert generate(1, 500) == generate(1, 500)
    assert len({pair.source for pair in generate(1, 500)} & {pair.source for pair in generate(2, 500)}) < 50


def test_pairs_are_distinct_and_as_many_as_asked_for() -> None:
    assert len(CORPUS) == 24_000
    assert len({pair.source for pair in CORPUS}) == 24_000
    assert len(generate(0, 7)) == 7


def test_every_phenomenon_and_distance_has_its_share() -> None:
    cells = Counter((pair.phenomenon, pair.distance) for pair in CORPUS)
    assert set(cells) == {(name, distance) for name, what in PHENOMENA.items() for distance in what.distances}
    assert max(cells.values()) - min(cells.values()) == 1
    assert max(pair.distance for pair in CORPUS) == 12
    assert set(Counter((pair.phenomenon, pair.distance) for pair in CORPUS[: 3 * len(cells)]).values()) == {3}


def test_one_sentence_has_one_translation_and_one_origin() -> None:
    translations, origins = defaultdict(set), defaultdict(set)
    for pair in [*CORPUS, *generate(1), *generate(2, 60_000)]:
        translations[pair.source].add(pair.target)
        origins[pair.target].add(pair.source)
    assert len(translations) > 80_000
    assert {source: found for source, found in translations.items() if len(found) > 1} == {}
    assert {target: found for target, found in origins.items() if len(found) > 1} == {}


def test_positions_are_those_of_words_at_that_distance() -> None:
    for pair in CORPUS:
        words = pair.source.split()
        assert pair.distance == abs(pair.controller - pair.measured) - 1
        assert 0 <= pair.controller < len(words)
        assert 0 <= pair.measured < len(words)
        assert 0 <= pair.agreeing < len(pair.target.split())


@pytest.mark.parametrize("phenomenon", ["number", "gender", "participle"])
def test_distance_from_the_subject(phenomenon: str) -> None:
    for pair in of(phenomenon):
        words = english(pair)
        assert words[0] == "the"
        if phenomenon == "gender":
            assert pair.distance == len(words) - 3
        elif "will" in words:
            assert pair.distance == words.index("will") - 2
        assert pair.controller == 1


def test_distance_from_an_adverbial_before_the_verb() -> None:
    for pair in of("tense_start"):
        words = english(pair)
        assert words[0] in ("every", "last")
        assert pair.distance == min(words.index(verb) for verb in TENSELESS & set(words)) - 1


def test_distance_from_an_adverbial_after_the_verb() -> None:
    for pair in of("tense_end"):
        words = english(pair)
        (verb,) = TENSELESS & set(words)
        (time,) = {"every", "last", "yesterday"} & set(words)
        assert pair.distance == words.index(time) - words.index(verb) - 1


def test_distance_from_a_pronoun_to_its_noun() -> None:
    for pair in of("clitic"):
        words = english(pair)
        assert words.count("it") == 1
        assert pair.measured == words.index("it")
        assert words[pair.controller - 1] == "the"


def test_distance_from_the_auxiliary_of_a_question() -> None:
    for pair in of("question"):
        words = english(pair)
        assert pair.controller == (1 if words[0] in ("why", "when", "where") else 0)
        assert words[pair.controller] in ("do", "does", "did", "will", "was", "were")


def test_distance_from_negative_pronouns() -> None:
    for pair in of("negative_subject"):
        words = english(pair)
        assert words[0] in ("nobody", "no", "none")
        assert pair.distance == (words.index("will") if "will" in words else pair.measured) - 1


def test_distance_between_an_article_and_the_noun() -> None:
    for pair in of("contraction"):
        words = english(pair)
        last_article = len(words) - 1 - words[::-1].index("the")
        assert pair.distance == len(words) - 1 - last_article - 1
        assert pair.target.split()[pair.agreeing] in ("à", "au", "aux", "de", "du", "des")


def test_attractors_are_as_frequent_as_by_chance() -> None:
    for phenomenon in ("number", "gender", "participle"):
        far = [pair for pair in of(phenomenon) if pair.distance > 6]
        assert 0.4 < sum(pair.attractor for pair in far) / len(far) < 0.8
        assert not any(pair.attractor for pair in of(phenomenon) if pair.distance <= 1)


@pytest.mark.parametrize("held_out", ["sentence", "combination"])
def test_splits_share_no_sentence(held_out: str) -> None:
    divided = split(CORPUS, held_out)
    assert list(divided) == ["train", "val", "test"]
    assert sorted(pair for pairs in divided.values() for pair in pairs) == sorted(CORPUS)

    def what(pair: PhrasebookPair) -> str:
        words = english(pair)
        combination = f"{pair.phenomenon} {words[pair.controller]} {words[pair.measured]}"
        return combination if held_out == "combination" else " ".join(words)

    keys = [{what(pair) for pair in pairs} for pairs in divided.values()]
    assert not keys[0] & keys[1]
    assert not keys[0] & keys[2]
    assert not keys[1] & keys[2]
    for name, share in (("val", 0.1), ("test", 0.1)):
        assert abs(len(divided[name]) / len(CORPUS) - share) < 0.03


def test_the_split_of_a_pair_does_not_depend_on_other_pairs() -> None:
    divided = split(CORPUS)
    assert split(CORPUS[:1000])["test"] == [pair for pair in divided["test"] if pair in CORPUS[:1000]]
    assert not split(CORPUS, test_share=0)["test"]
    assert abs(len(split(CORPUS, val_share=0.3)["val"]) - 7200) < 400


def test_every_cell_is_in_every_split() -> None:
    for pairs in split(CORPUS).values():
        assert len(Counter((pair.phenomenon, pair.distance) for pair in pairs)) == sum(
            len(what.distances) for what in PHENOMENA.values()
        )


@pytest.mark.parametrize("num_pairs", [0, -1, 2.5, True])
def test_a_bad_number_of_pairs(num_pairs: int) -> None:
    with pytest.raises(ValueError, match="num_pairs must be a whole number of at least 1, not"):
        generate(0, num_pairs)


def test_more_pairs_than_the_grammar_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnexp.data.corpora.phrasebook.generation.MAX_MISSES", 2)
    with pytest.raises(
        ValueError, match=r"num_pairs=200000 is more than the phrasebook can make: \w+ at distance \d+ has"
    ):
        generate(0, 200_000)


def test_unknown_split() -> None:
    with pytest.raises(ValueError, match=r"unknown held_out 'combinations': .* did you mean 'combination'"):
        split(CORPUS, "combinations")
    with pytest.raises(ValueError, match=r"val_share=0\.5 and test_share=0\.5 leave nothing for training"):
        split(CORPUS, val_share=0.5, test_share=0.5)
