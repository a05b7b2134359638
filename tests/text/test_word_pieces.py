import random

import pytest

from rnnexp.text.word_pieces import JOINER, join_pieces, split_pieces

# Letters, marks, digits, each kind of white space, both apostrophes, the joiner itself, and a combining accent.
ALPHABET = f"abQu{JOINER} '’.\t-\u202fé_1\u0301²\n한"


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("He's in (now).", "He'￭ s in (￭ now ￭) ￭."),
        ("The man's dog didn't.", "The man ￭'s dog didn ￭'t ￭."),
        ("Lorsqu'il n'est qu’à l'Aigle", "Lorsqu'￭ il n'￭ est qu’￭ à l'￭ Aigle"),
        ("Aujourd'hui, ça va ?", "Aujourd ￭'hui ￭, ça va ?"),
        ("2:30-3", "2 ￭:￭ 30 ￭-￭ 3"),
        ("Viel\tTat!", "Viel ￭\t￭ Tat ￭!"),
        ("a  b", "a  b"),
        ("", ""),
    ],
)
def test_words_do_not_depend_on_adjacent_punctuation(text: str, pieces: str) -> None:
    assert " ".join(split_pieces(text)) == pieces


def test_every_text_is_restored() -> None:
    generator = random.Random(0)
    for _ in range(20_000):
        text = "".join(generator.choices(ALPHABET, k=generator.randint(0, 9)))
        pieces = split_pieces(text)
        assert join_pieces(pieces) == text
        assert not any(" " in piece for piece in pieces)


def test_a_joiner_in_the_text_is_restored() -> None:
    for text in (JOINER, f"a{JOINER}", f"{JOINER}a", f"a {JOINER}b", f"a{JOINER} b", JOINER * 4, f".{JOINER}."):
        assert join_pieces(split_pieces(text)) == text
