import random
import re
import unicodedata

import pytest

from rnnexp.text.word_pieces import JOINER, PIECE_WITH_MARKS, join_pieces, split_pieces

# Letters, marks, digits, each kind of white space, both apostrophes and the joiner itself.
WITHOUT_MARKS = f"abQu{JOINER} '’.\t-\u202fé_1²\n한"
# Combining marks: an accent, vowel signs of Devanagari before and above, and a joiner of its letters.
ALPHABET = WITHOUT_MARKS + "\u0301\u093f\u0947\u200d"


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


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("नमस्ते, दुनिया!", "नमस्ते ￭, दुनिया ￭!"),
        ("क्\u200dष (हिन्दी)", "क्\u200dष (￭ हिन्दी ￭)"),
        ("நன்றி; தமிழ்.", "நன்றி ￭; தமிழ் ￭."),
        ("สวัสดี “โลกนี้”", "สวัสดี “￭ โลกนี้ ￭”"),
        ("שָׁלוֹם, עוֹלָם.", "שָׁלוֹם ￭, עוֹלָם ￭."),
        ("السَّلَامُ عَلَيْكُمْ؟", "السَّلَامُ عَلَيْكُمْ ￭؟"),
        ("می\u200cخواهم.", "می\u200cخواهم ￭."),
        (unicodedata.normalize("NFD", "Tiếng Việt."), unicodedata.normalize("NFD", "Tiếng Việt ￭.")),
        (unicodedata.normalize("NFD", "l'été, d’à côté's"), unicodedata.normalize("NFD", "l'￭ été ￭, d’￭ à côté ￭'s")),
        ("J'ai un ❤\ufe0f!", "J'￭ ai un ❤\ufe0f ￭!"),
        ("ཨོཾ་མ", "ཨོཾ ￭་￭ མ"),
    ],
)
def test_a_mark_belongs_to_the_letter_before_it(text: str, pieces: str) -> None:
    assert " ".join(split_pieces(text)) == pieces
    assert join_pieces(split_pieces(text)) == text


def test_text_without_marks_is_split_alike_by_both_expressions() -> None:
    generator = random.Random(0)
    plain = re.compile(r"\b(?:\w{1,2}|\w*[qQ][uU])['’](?=\w)|(?<=\w)['’]\w+|\w+|\W")
    for _ in range(5_000):
        text = "".join(generator.choices(WITHOUT_MARKS, k=generator.randint(0, 9)))
        chunks = [plain.findall(chunk) for chunk in text.split(" ")]
        assert [PIECE_WITH_MARKS.findall(chunk) for chunk in text.split(" ")] == chunks
        assert "".join(split_pieces(text)).replace(JOINER, "") == text.replace(" ", "").replace(JOINER, "")


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
