"""The script of a text, and whether spaces separate its words."""

import pytest

from rnnexp.text import writing
from rnnexp.text.writing import describe_writing

WITHOUT_SPACES = {
    "Chinese": "我今天早上在公园里看到两只狗在跳。",
    "Japanese": "私は今朝公園で二匹の犬が飛んでいるのを見ました。",
    "Thai": "เช้านี้ฉันเห็นสุนัขสองตัวกระโดดอยู่ในสวนสาธารณะ",
    "Lao": "ເຊົ້ານີ້ຂ້ອຍເຫັນໝາສອງໂຕໂດດຢູ່ໃນສວນສາທາລະນະ",
    "Khmer": "ព្រឹកនេះខ្ញុំបានឃើញឆ្កែពីរក្បាលលោតនៅក្នុងឧទ្យាន",
    "Burmese": "ဒီနေ့မနက်ပန်းခြံထဲမှာခွေးနှစ်ကောင်ခုန်နေတာကိုတွေ့ခဲ့တယ်",
    "Tibetan": "ང་རང་བོད་ལ་སྐྱེས་པ་ཡིན།",
}
WITH_SPACES = [
    "This morning I saw two dogs jumping in the park.",
    "Heute Morgen sah ich im Park zwei Hunde springen.",
    "오늘 아침 공원에서 개 두 마리가 뛰는 것을 보았다.",
    "आज सुबह मैंने पार्क में दो कुत्तों को कूदते देखा।",
    "رأيت هذا الصباح كلبين يقفزان في الحديقة.",
    "Сегодня утром я видел в парке двух собак.",
    "Tänä aamuna näin puistossa kahden koiran hyppivän.",
    "1 2 3",
    "",
]


def test_a_sample_of_a_large_corpus_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "SAMPLE_SIZE", 10)
    # Every second of 19 sentences: two words each, and the others one.
    assert describe_writing(["two words", "one"] * 9 + ["two words"]).words_per_sentence == 2


@pytest.mark.parametrize(("script", "sentence"), WITHOUT_SPACES.items())
def test_scripts_without_spaces(script: str, sentence: str) -> None:
    writing = describe_writing([sentence, f"{sentence} GPU 2026", ""])
    assert (writing.script, writing.spaces_separate_words) == (script, False)


@pytest.mark.parametrize("sentence", WITH_SPACES)
def test_scripts_with_spaces(sentence: str) -> None:
    writing = describe_writing([sentence] * 3)
    assert (writing.script, writing.spaces_separate_words) == (None, True)
    assert describe_writing([]).spaces_separate_words


@pytest.mark.parametrize(
    ("script", "sentence"),
    [("Chinese", "我 今天 早上 在 公园 里 看到 两 只 狗 。"), ("Thai", "เช้า นี้ ฉัน เห็น สุนัข สอง ตัว")],
)
def test_text_that_a_tool_has_divided_into_words(script: str, sentence: str) -> None:
    writing = describe_writing([sentence] * 3)
    assert (writing.script, writing.spaces_separate_words) == (script, True)


def test_short_sentences_of_a_script_without_spaces() -> None:
    assert not describe_writing(["你好吗", "我很好", "谢谢你"]).spaces_separate_words


def test_text_of_any_script_whose_spaces_were_removed() -> None:
    without = WITH_SPACES[0].replace(" ", "") * 2
    assert not describe_writing([without] * 3).spaces_separate_words


def test_single_words() -> None:
    writing = describe_writing(["Hund", "Katze", "Maus"])
    assert writing.spaces_separate_words
    assert writing.words_per_sentence == 1


def test_a_few_foreign_names_decide_nothing() -> None:
    assert describe_writing([*WITH_SPACES[:2], "北京 東京 กรุงเทพ"]).script is None
    assert describe_writing(["我今天早上在公园里看到サクラ两只狗在跳。" * 3 + "看到两只狗在跳" * 9]).script == "Chinese"
