"""Small corpora in the published formats, from files and from a real server on this machine."""

import bz2
import gzip
import io
import lzma
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from rnnexp.core.errors import UserError
from rnnexp.data.corpora import multi30k
from rnnexp.data.corpora.multi30k import Multi30k
from rnnexp.data.corpora.parallel import ParallelFiles
from rnnexp.data.corpora.phrasebook import generate
from rnnexp.data.corpora.phrasebook.corpus import Phrasebook
from rnnexp.data.corpora.tatoeba import Tatoeba, divide, keep_tutorial, normalize
from rnnexp.data.text.parallel_text import ParallelText, read_aligned, read_lines
from rnnexp.data.text.tsv import Columns, read_tsv
from support.mirror import Mirror, serving, written

NUM_LINES = {"train": 6, "val": 3, "test_2016_flickr": 2, "test_2018_flickr": 2}


def captions(name: str, language: str) -> bytes:
    # Only the line feed ends a line, not the other line separators of Unicode.
    return "".join(f"{language} {name} {n}\u2028\x85 é.\n" for n in range(NUM_LINES[name])).encode()


CAPTIONS = {f"{name}.{language}": captions(name, language) for name in NUM_LINES for language in ("en", "de", "cs")}
KNOWN = {file: sha256(text).hexdigest() for file, text in CAPTIONS.items() if not file.endswith("cs")}


@pytest.fixture(autouse=True)
def small_multi30k(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small copy in place of the published files, without digests of the Czech files."""
    assert set(multi30k.PUBLISHED_SHA256) >= {"train.en", "val.de", "test_2016_flickr.fr"}
    monkeypatch.setattr(multi30k, "PUBLISHED_SHA256", KNOWN)
    monkeypatch.setattr(multi30k, "NUM_LINES", NUM_LINES)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with serving({f"{file}.gz": gzip.compress(text, mtime=0) for file, text in CAPTIONS.items()}) as server:
        yield server


def make_multi30k(root: Path, *mirrors: str, **changes: str) -> Multi30k:
    choices = {"source_lang": "en", "target_lang": "de", "test": "test_2016_flickr"} | changes
    return Multi30k(root=str(root), **choices, mirrors=mirrors, timeout_seconds=0.5)


def place(root: Path, files: Mapping[str, bytes]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        (root / file).write_bytes(content)


@pytest.mark.parametrize("compressed", [True, False])
def test_existing_files_are_used(tmp_path: Path, compressed: bool) -> None:
    files = {f"{file}.gz": gzip.compress(text, mtime=0) for file, text in CAPTIONS.items()} if compressed else CAPTIONS
    place(tmp_path / "multi30k", files)
    content = make_multi30k(tmp_path, source_lang="de", target_lang="en", test="test_2018_flickr").read()
    assert {split: len(text) for split, text in content.splits.items()} == {"train": 6, "val": 3, "test": 2}
    assert content.splits["val"] == ParallelText(
        [f"de val {n}\u2028\x85 é." for n in range(3)], [f"en val {n}\u2028\x85 é." for n in range(3)]
    )
    assert content.splits["test"].sources[0].startswith("de test_2018_flickr 0")
    assert content.details["test"] == "test_2018_flickr"
    assert content.details["sha256/train.de"] == KNOWN["train.de"]


def test_missing_files_are_fetched_once_and_kept_as_published(tmp_path: Path, mirror: Mirror) -> None:
    place(tmp_path / "multi30k", {"val.en": CAPTIONS["val.en"]})
    corpus = make_multi30k(tmp_path, mirror.url("good"))
    first = corpus.read()
    assert len(mirror.asked) == 5
    for name in (Path(asked).name for asked in mirror.asked):
        assert (tmp_path / "multi30k" / name).read_bytes() == mirror.files[name]
    assert corpus.read() == first
    assert make_multi30k(tmp_path).read() == first
    assert len(mirror.asked) == 5


def test_the_validation_split_may_be_tested(tmp_path: Path, mirror: Mirror) -> None:
    content = make_multi30k(tmp_path, mirror.url("good"), test="val").read()
    assert content.splits["test"] == content.splits["val"]
    assert content.details["test"] == "val"
    assert sorted(Path(asked).stem for asked in mirror.asked) == ["train.de", "train.en", "val.de", "val.en"]


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        ("missing", "HTTP 404 Not Found"),
        ("html", "is an HTML page, not a gzip file"),
        ("cut", "truncated: "),
        ("garbled", "not the published train.en (SHA-256 "),
        ("stall", "silent for 0.5 s after 0 bytes"),
    ],
)
def test_a_bad_mirror_is_named_and_no_file_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mirror: Mirror, manner: str, reason: str
) -> None:
    monkeypatch.setattr("support.mirror.STALLED_AFTER", 0)  # the files are shorter than 100 bytes
    with pytest.raises(UserError) as caught:
        make_multi30k(tmp_path, mirror.url(manner)).prepare()
    first, where, why, last = str(caught.value).split("\n")
    assert first.startswith("cannot get train.en, train.de, ")
    assert first.endswith(" of the corpus 'multi30k':")
    assert where == f"  files: not all in {tmp_path / 'multi30k'};"
    assert why.startswith(f"  mirrors: {mirror.url(manner)}/train.en.gz: {reason}")
    assert last.startswith(f"Place them in {tmp_path / 'multi30k'}, ")
    assert written(tmp_path) == []


def test_the_next_mirror_is_used_if_the_first_fails(tmp_path: Path, mirror: Mirror) -> None:
    content = make_multi30k(tmp_path, mirror.url("html"), mirror.url("good")).read()
    assert len(content.splits["train"]) == 6
    assert [path.split("/")[1] for path in mirror.asked] == ["html", *["good"] * 6]


def test_without_addresses_nothing_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot get train.en, train.de, val.en, .*\n.*\n  sources: data\.mirrors"):
        make_multi30k(tmp_path).prepare()


def test_an_existing_file_must_be_the_published_one(tmp_path: Path) -> None:
    place(tmp_path / "multi30k", CAPTIONS | {"val.de": CAPTIONS["val.de"].upper()})
    with pytest.raises(
        UserError,
        match=r"val\.de: not the published val\.de \(SHA-256 .*\): replace it, or delete it",
    ):
        make_multi30k(tmp_path).read()
    (tmp_path / "multi30k" / "train.en").unlink()
    place(tmp_path / "multi30k", {"train.en.gz": gzip.compress(CAPTIONS["train.en"], mtime=0)[:-9]})
    with pytest.raises(UserError, match=r"train\.en\.gz: truncated gzip file of .*: replace it, or delete it"):
        make_multi30k(tmp_path).read()


def test_files_of_unknown_digest_need_the_published_number_of_lines(tmp_path: Path) -> None:
    place(tmp_path / "multi30k", CAPTIONS)
    details = make_multi30k(tmp_path, target_lang="cs").read().details
    assert details["sha256/train.cs"] == f"{sha256(CAPTIONS['train.cs']).hexdigest()} (not compared)"
    assert details["sha256/train.en"] == KNOWN["train.en"]
    place(tmp_path / "multi30k", {"val.cs": CAPTIONS["val.cs"] + b"one more\n"})
    with pytest.raises(UserError, match=r"val\.cs: has 4 lines, the published val\.cs has 3: replace it"):
        make_multi30k(tmp_path, target_lang="cs").read()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source_lang": "es"}, "unknown data.source_lang of multi30k 'es': choose one of en, de, fr, cs"),
        ({"source_lang": "de"}, "data.source_lang and data.target_lang are both 'de': choose two of en, de, fr, cs"),
        ({"test": "test_2016"}, "unknown data.test 'test_2016': .*; did you mean 'test_2016_flickr'"),
        (
            {"source_lang": "cs", "test": "test_2017_mscoco"},
            "test_2017_mscoco has no Czech: for this pair choose data.test= one of test_2016_flickr, test_2018_flickr",
        ),
    ],
)
def test_wrong_choices_of_multi30k(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_multi30k(tmp_path, **changes)


FETCH = """
import sys
from rnnexp.data.corpora import multi30k
from rnnexp.data.corpora.phrasebook.corpus import Phrasebook
multi30k.PUBLISHED_SHA256 = {}
multi30k.NUM_LINES = {"train": 6, "val": 3, "test_2016_flickr": 2}
languages = {"source_lang": "en", "target_lang": "de"}
multi30k.Multi30k(root=sys.argv[1], **languages, test="test_2016_flickr", mirrors=sys.argv[2:]).prepare()
print(sorted({"torch", "lightning"} & set(sys.modules)))
"""


def test_three_processes_fetch_once_and_need_no_torch(tmp_path: Path, mirror: Mirror) -> None:
    command = [sys.executable, "-c", FETCH, str(tmp_path), mirror.url("slow")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate(timeout=60) for process in processes] == [("[]\n", "")] * 3
    assert len(mirror.asked) == len(set(mirror.asked)) == 6


PAIRS = [
    ("I'm cold.", "J'ai froid."),
    ("I’m cold!", "J'ai froid !"),
    ("You are very kind.", "Vous êtes très aimable."),
    ("He is one two three four five six seven.", "Il est là."),  # 9 words and a full stop
    ("They're here.", "Elles sont ici, là, là, là, là, là, là, là."),
    ("Go.", "Va !"),
    ("She is tall.", "Elle est grande."),
    ("We aren't late.", "Nous ne sommes pas en retard."),
]


def archive(text: bytes, name: str = "fra.txt") -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("_about.txt", "** Info **")
        opened.writestr(name, text)
    return content.getvalue()


def as_text(pairs: list[tuple[str, str]]) -> bytes:
    return "".join(f"{english}\t{french}\tCC-BY 2.0 (France) #1 & #2\n" for english, french in pairs).encode()


def make_tatoeba(root: Path, *mirrors: str, path: Path | None = None, **changes: Any) -> Tatoeba:
    choices = {"source_lang": "fr", "target_lang": "en", "filter": "none", "val_share": 0.2, "test_share": 0.2}
    file = None if path is None else str(path)
    return Tatoeba(root=str(root), path=file, **(choices | changes), mirrors=mirrors, timeout_seconds=5)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("J'ai   été là !", "j ai ete la !"),
        ("Ça va?", "ca va ?"),
        ("I'm 12 years old.", "i m years old ."),
        ("À l'aide\u202f!", "a l aide !"),
        ("Hé... non", "he . . . non"),
    ],
)
def test_normalization_is_that_of_the_tutorial(sentence: str, expected: str) -> None:
    assert normalize(sentence) == expected


def test_the_filter_keeps_the_same_pairs_as_the_tutorial() -> None:
    assert keep_tutorial(PAIRS) == [
        ("i m cold .", "j ai froid ."),
        ("i m cold !", "j ai froid !"),
        ("you are very kind .", "vous etes tres aimable ."),
        ("she is tall .", "elle est grande ."),
        ("we aren t late .", "nous ne sommes pas en retard ."),  # the tutorial writes the prefix "we are"
    ]


def letters(number: int) -> str:
    return chr(97 + number % 26) + chr(97 + number // 26)


def test_splits_share_no_sentence_of_either_language() -> None:
    # Many English sentences for one French sentence, and vice versa.
    pairs = [(f"Many {letters(n)}!", f"Phrase {letters(n % 30)}.") for n in range(150)]
    pairs += [(f"Few {letters(n % 30)}!", f"Chose {letters(n)}.") for n in range(150)]
    splits = divide(pairs, val_share=0.2, test_share=0.2)
    assert all(len(members) > 20 for members in splits.values())
    for side in (0, 1):
        seen = [{normalize(pair[side]) for pair in splits[split]} for split in ("train", "val", "test")]
        assert not seen[0] & seen[1]
        assert not seen[0] & seen[2]
        assert not seen[1] & seen[2]
    assert sum(map(len, splits.values())) < len(pairs)  # some pairs are left out


def test_a_pair_stays_in_its_split_when_the_file_grows() -> None:
    pairs = [(f"Only {letters(n)}.", f"Seul {letters(n)}.") for n in range(200)]
    small, large = divide(pairs[:100], 0.2, 0.2), divide(pairs[::-1], 0.2, 0.2)
    for split, members in small.items():
        assert members
        assert set(members) <= set(large[split])


@pytest.mark.parametrize("direction", [("fr", "en"), ("en", "fr")])
def test_the_archive_is_read_in_both_directions(tmp_path: Path, direction: tuple[str, str]) -> None:
    place(tmp_path / "tatoeba", {"fra-eng.zip": archive(as_text(PAIRS))})
    content = make_tatoeba(tmp_path, source_lang=direction[0], target_lang=direction[1]).read()
    found = {
        (source, target) if direction == ("en", "fr") else (target, source)
        for text in content.splits.values()
        for source, target in zip(text.sources, text.targets, strict=True)
    }
    assert found == set(PAIRS)
    assert content.details["num_read"] == content.details["num_kept"] == 8
    assert content.details["num_left_out"] == 0
    file = tmp_path / "tatoeba" / "fra-eng.zip"
    assert content.details["sha256/fra-eng.zip"] == sha256(file.read_bytes()).hexdigest()


def test_path_names_another_file(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_bytes(as_text(PAIRS))
    content = make_tatoeba(tmp_path, path=tmp_path / "mine.txt", filter="tutorial").read()
    assert (content.details["num_read"], content.details["num_kept"], content.details["filter"]) == (8, 5, "tutorial")
    with pytest.raises(UserError, match=r"data\.path=.*/absent\.zip: there is no such file"):
        make_tatoeba(tmp_path, path=tmp_path / "absent.zip").prepare()


def test_the_archive_is_fetched(tmp_path: Path) -> None:
    with serving({"fra-eng.zip": archive(as_text(PAIRS))}) as mirror:
        assert make_tatoeba(tmp_path, mirror.url("good")).read().details["num_read"] == 8
        assert mirror.asked == ["/good/fra-eng.zip"]
        for manner, reason in (("html", "is an HTML page, not a zip archive"), ("cut", "truncated: ")):
            with pytest.raises(UserError, match=f"{manner}/fra-eng.zip: {reason}"):
                make_tatoeba(tmp_path / manner, mirror.url(manner)).prepare()
            assert written(tmp_path / manner) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (archive(as_text(PAIRS))[:-30], "fra-eng.zip: is a corrupt zip archive .*: replace it, or delete it"),
        (archive(b"", name="deu.txt"), "fra-eng.zip: has no fra.txt inside"),
        (archive(b"Go.\tVa !\nRun!\n"), "fra-eng.zip: line 2: has no tab between English and French"),
        (archive(b"Go.\tVa !\nRun!\t\xe9\n"), "fra-eng.zip: line 2: not UTF-8 .byte 0xe9.: convert the file to UTF-8"),
        (archive(b""), "fra-eng.zip: is empty"),
    ],
)
def test_damaged_archives_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    place(tmp_path / "tatoeba", {"fra-eng.zip": content})
    with pytest.raises(UserError, match=message):
        make_tatoeba(tmp_path).read()


def test_wrong_choices_of_tatoeba(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown data\.source_lang of tatoeba 'de': choose one of en, fr"):
        make_tatoeba(tmp_path, source_lang="de")
    with pytest.raises(ValueError, match=r"data\.source_lang and data\.target_lang are both 'en'"):
        make_tatoeba(tmp_path, source_lang="en")
    with pytest.raises(ValueError, match=r"unknown data\.filter 'tutoral': .*; did you mean 'tutorial'"):
        make_tatoeba(tmp_path, filter="tutoral")
    with pytest.raises(ValueError, match=r"val_share \+ test_share must lie in \[0, 1\), not 1.1"):
        make_tatoeba(tmp_path, val_share=0.6, test_share=0.5)


def test_lines_end_only_at_line_feeds(tmp_path: Path) -> None:
    text = "\ufeffun \u2028 deux\r\n\n trois\t\n".encode()
    for name, content in (
        ("a.txt", text),
        ("a.txt.gz", gzip.compress(text, mtime=0)),
        ("b.txt", text.removesuffix(b"\n")),
    ):
        (tmp_path / name).write_bytes(content)
        assert read_lines(tmp_path / name) == ["un \u2028 deux\r", "", " trois\t"]
    text_of_both = read_aligned(tmp_path / "a.txt", tmp_path / "a.txt.gz")
    assert text_of_both.sources == text_of_both.targets == ["un \u2028 deux", "", "trois"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", r"a\.txt: is empty: it needs one sentence a line"),
        ("a.txt.gz", gzip.compress(b"", mtime=0), r"a\.txt\.gz: is empty"),
        ("a.txt", b"ok\nok\nna\xefve\n", r"a\.txt: line 3: not UTF-8 \(byte 0xef\): convert the file to UTF-8"),
        ("a.txt.gz", gzip.compress(b"ok\n", mtime=0)[:-5], r"a\.txt\.gz: truncated gzip file of .* bytes: replace it"),
        ("a.txt", b"ok\rok\rok\r", r"a\.txt: line 1: has a carriage return inside"),
        ("a.txt", b"ok\r\nok\rok\r\n", r"a\.txt: line 2: has a carriage return inside"),
        ("a.txt", "ok\nok\n".encode("utf-16-le"), r"a\.txt: line 1: has a NUL byte, as in UTF-16 without"),
        ("a.txt", "\ufeffok\n".encode("utf-16-le")[:-1], r"a\.txt: line 1: not UTF-16 "),
        ("a.txt", b"ok\nok\0ok\n", r"a\.txt: line 2: has a NUL byte"),
        ("a.txt", b"ok\n" + b"x" * 101 + b"\n", r"a\.txt: line 2: has more than data\.max_line_bytes=100 bytes"),
        ("a.txt", b"x" * 3_000_000, r"a\.txt: line 1: has more than data\.max_line_bytes=100 bytes"),
        ("a.txt", b"PK\x03\x04....", r"a\.txt: is a zip archive .*, not text"),
        ("a.txt", bytes(257) + b"ustar", r"a\.txt: is a tar archive, not text"),
        ("a.txt.gz", b"\n<!DOCTYPE html><body>", r"a\.txt\.gz: is an HTML page, not text"),
    ],
)
def test_text_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_lines(tmp_path / name, max_line_bytes=100)


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "train.en").write_bytes(b"ok\n")
    os.mkfifo(tmp_path / "pipe")
    for name, message in (
        ("trian.en", r"there is no such file; did you mean 'train\.en'\?: name a text file"),
        ("", "is a directory"),
        ("pipe", "is a pipe or a device, which can be read only once, .*write the text to a file"),
    ):
        with pytest.raises(UserError, match=message):
            read_lines(tmp_path / name)


@pytest.mark.parametrize(
    "compress", [gzip.compress, bz2.compress, lzma.compress, bytes], ids=["gz", "bz2", "xz", "plain"]
)
@pytest.mark.parametrize("name", ["a.txt", "a.gz"])
def test_the_content_tells_how_a_file_is_compressed(
    tmp_path: Path, name: str, compress: Callable[[bytes], bytes]
) -> None:
    (tmp_path / name).write_bytes(compress("un\nd\u00e9\n".encode()))
    assert read_lines(tmp_path / name) == ["un", "d\u00e9"]
    if compress is not bytes:
        (tmp_path / name).write_bytes(compress(b"un\n" * 99)[:-9])
        with pytest.raises(UserError, match=f"{name}: (truncated|is a corrupt) .* file.*: replace it"):
            read_lines(tmp_path / name)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.txt").write_bytes("un\r\ndeux é\r\n".encode(encoding))
    assert read_aligned(tmp_path / "a.txt", tmp_path / "a.txt").sources == ["un", "deux é"]
    # Files or columns that were joined have a mark inside.
    (tmp_path / "b.txt").write_bytes("un\n".encode("utf-8-sig") + "u\ufeffn\n".encode("utf-8-sig"))
    assert read_lines(tmp_path / "b.txt") == ["un", "un"]


def test_files_of_unequal_length(tmp_path: Path) -> None:
    place(tmp_path, {"a.fi": b"yksi\nkaksi\nkolme\n", "a.et": b"uks\nkaks\n"})
    for source, target, message in (
        ("a.fi", "a.et", r"a\.fi has 3 lines, but .*a\.et 2: line 3 of a\.fi has no partner in a\.et: align the two"),
        ("a.et", "a.fi", r"a\.et has 2 lines, but .*a\.fi 3: line 3 of a\.fi has no partner in a\.et: align the two"),
    ):
        with pytest.raises(UserError, match=message):
            read_aligned(tmp_path / source, tmp_path / target)


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("yksi\n", None, "line 1: has no tab between a sentence and its translation: add it"),
        ("yksi\tuks\nkaksi\n", None, "line 2: has 1 column, and line 1 has 2: correct it"),
        ("yksi\tuks\nkaksi\tkaks\t\n", None, "line 2: has 3 columns, and line 1 has 2"),
        ("yksi\tuks\textra\n", None, r"line 1: has 3 columns: choose two of them, as data\.columns=\[1,3\]"),
        ("100\tHello.\t101\tHallo.\n", None, "line 1: has 4 columns: choose two of them"),
        ("src\tsrc_prompt\ttrg\nHello.\t<en>\tHallo.\n", None, r"line 1: .* data\.columns=\[src,src_prompt\]"),
        ("src\tsrc_prompt\ttrg\nHello.\t<en>\tHallo.\n", [1, 3], r"line 1: .* data\.columns=\[src,trg\]"),
        ("Source\tTarget\nHello.\tHallo.\n", None, r"line 1: holds names of columns"),
        ("fi\tet\nyksi\tuks\n", None, r"line 1: holds names of columns"),
        ("text_fi\ttext_sv\nyksi\tuks\n", [1, 2], r"line 1: holds names of columns"),
        ("finska\testniska\nyksi\tuks\n", None, r"line 1: holds names of columns"),
        (
            "src\ttrg\nHello.\tHallo.\n",
            ["src", "tgt"],
            r"line 1: has no column 'tgt' of data\.columns: it has src, trg",
        ),
        ("src\ttrg\n", ["src", "trg"], r"has only the names of columns"),
        ("yksi\tuks\n", [1, 3], r"line 1: has 2 columns: data\.columns=\[1, 3\] does not fit"),
        ('"Hello, you","Hallo, du"\n', None, "line 1: has no tab .*looks like CSV"),
        ('{"en": "a", "de": "b"}\n', None, "line 1: has no tab .*looks like JSON"),
        ('"Hello, you"\t"Hallo, du"\n', None, "every cell is in quotes"),
        ('Hello\tHallo\n"He said ""no"""\tEr\n', None, "line 2: has a cell in quotes with doubled quotes inside"),
    ],
)
def test_columns_that_are_not_a_pair(tmp_path: Path, text: str, columns: Columns, message: str) -> None:
    (tmp_path / "a.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=rf"a\.tsv: {message}"):
        read_tsv(tmp_path / "a.tsv", columns, ("finska", "estniska"))


def test_chosen_columns(tmp_path: Path) -> None:
    (tmp_path / "numbered.tsv").write_text("1\tHello.\ten\tHallo.\n2\tNo.\ten\tNein.\n", encoding="utf-8")
    (tmp_path / "named.tsv").write_text("id\ten\tde\n1\tHello.\tHallo.\n2\tNo.\tNein.\n", encoding="utf-8")
    expected = ParallelText(["Hello.", "No."], ["Hallo.", "Nein."])
    assert read_tsv(tmp_path / "numbered.tsv", [2, 4]) == expected
    assert read_tsv(tmp_path / "named.tsv", ["en", "de"]) == expected
    assert read_tsv(tmp_path / "named.tsv", ["de", "en"]) == ParallelText(expected.targets, expected.sources)


def test_words_that_are_codes_of_languages_are_a_pair(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("no\tno\nyes\tsí\n", encoding="utf-8")
    for columns in (None, [1, 2]):
        assert read_tsv(tmp_path / "a.tsv", columns, ("en", "es")).sources == ["no", "yes"]
    (tmp_path / "b.tsv").write_text("hi\tno\nyes\tsí\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"data\.columns=\[hi,no\], or data\.columns=\[1,2\] if they are a pair$"):
        read_tsv(tmp_path / "b.tsv", None, ("en", "es"))
    assert read_tsv(tmp_path / "b.tsv", [1, 2], ("en", "es")).sources == ["hi", "yes"]
    for languages in (("hi", "no"), ("HI", "No")):
        with pytest.raises(UserError, match="names of columns"):
            read_tsv(tmp_path / "b.tsv", [1, 2], languages)


def test_quotes_of_sentences_are_text(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('"No."\t„Nein.“\n"A" and "B"\t"A" und "B"\n', encoding="utf-8")
    assert read_tsv(tmp_path / "a.tsv").sources == ['"No."', '"A" and "B"']


def test_a_text_is_not_its_own_translation(tmp_path: Path) -> None:
    place(tmp_path, {"a.en": b"One.\n", "b.en": b"One. \n", "c.tsv": b"One.\tOne.\n", "d.tsv": b"One.\tUn.\n"})
    for files in ([f"{tmp_path}/a.en"] * 2, [f"{tmp_path}/a.en", f"{tmp_path}/b.en"], [f"{tmp_path}/c.tsv"]):
        corpus = make_parallel(train=f"{tmp_path}/d.tsv", val=files, test=f"{tmp_path}/d.tsv")
        with pytest.raises(UserError, match=r"data\.val: the sentences of .* are the same text: name the two"):
            corpus.read()


def make_parallel(**changes: Any) -> ParallelFiles:
    options = {"source_lang": "fi", "target_lang": "et", "columns": None, "max_line_bytes": 100_000}
    return ParallelFiles(**(options | changes))


def test_files_of_the_user_in_both_formats(tmp_path: Path) -> None:
    place(
        tmp_path,
        {
            "train.fi.gz": gzip.compress(b"yksi\nkaksi\n", mtime=0),
            "train.et": "üks\nkaks\n".encode(),
            "val.tsv": b"kolme \tkolm\n",
        },
    )
    files: dict[str, Any] = {"train": [f"{tmp_path}/train.fi.gz", f"{tmp_path}/train.et"], "val": f"{tmp_path}/val.tsv"}
    content = make_parallel(**files, test=[f"{tmp_path}/val.tsv"]).read()
    assert content.splits["train"] == ParallelText(["yksi", "kaksi"], ["üks", "kaks"])
    assert content.splits["val"] == content.splits["test"] == ParallelText(["kolme"], ["kolm"])


def test_files_of_the_user_must_be_named() -> None:
    for given, number in ((None, 0), ([], 0), (["a", "b", "c"], 3)):
        with pytest.raises(ValueError, match=rf"data\.val names {number} files: give one with a tab .*val=FILE, or"):
            make_parallel(train="a.tsv", val=given, test="a.tsv")
    for change, message in (
        ({"val": 5}, r"data\.val=5 names no files"),
        ({"val": [False, "b"]}, r"data\.val=\[False, 'b'\] names no files"),
        ({"source_lang": False}, r"data\.source_lang must be text, not False: YAML reads no as False"),
        ({"target_lang": None}, r"data\.target_lang must be text, not None"),
        ({"max_line_bytes": 0}, "max_line_bytes must be a whole number of at least 1, not 0"),
        *(
            ({"columns": columns}, r"data\.columns must be two numbers from 1 on or two names")
            for columns in ([1], [1, 1], [0, 1], [1, "de"], ["en", "en"], "en", 3, [1, 2, 3], [True, 2], [1.5, 2])
        ),
    ):
        with pytest.raises(ValueError, match=message):
            make_parallel(**({"train": "a.tsv", "val": "a.tsv", "test": "a.tsv"} | change))


def test_columns_of_a_text_belong_together() -> None:
    with pytest.raises(ValueError, match=r"columns of different lengths: \{.*'targets': 1, 'distance': 2\}"):
        ParallelText(["a"], ["b"], {"distance": [1, 2]})


@pytest.mark.parametrize("direction", [("en", "fr"), ("fr", "en")])
def test_the_phrasebook_in_both_directions(direction: tuple[str, str]) -> None:
    choices: dict[str, Any] = {"num_pairs": 600, "generator_seed": 3, "held_out": "sentence"}
    choices |= {"source_lang": direction[0], "target_lang": direction[1], "val_share": 0.2, "test_share": 0.1}
    content = Phrasebook(**choices).read()
    assert content == Phrasebook(**choices).read()
    expected = {pair.source: pair for pair in generate(3, 600)}
    assert sum(map(len, content.splits.values())) == len(expected) == 600
    assert 80 < len(content.splits["val"]) < 160
    for text in content.splits.values():
        english, french = (text.sources, text.targets) if direction == ("en", "fr") else (text.targets, text.sources)
        for row, sentence in enumerate(english):
            pair = expected[sentence]
            assert french[row] == pair.target
            assert text.tags["phenomenon"][row] == pair.phenomenon
            assert text.tags["distance"][row] == pair.distance
            assert text.tags["agreeing"][row] == pair.agreeing


def test_wrong_choices_of_the_phrasebook() -> None:
    good: dict[str, Any] = {
        "source_lang": "en",
        "target_lang": "fr",
        "num_pairs": 9,
        "generator_seed": 0,
        "held_out": "sentence",
    }
    good |= {"val_share": 0.1, "test_share": 0.1}
    for change, message in (
        ({"source_lang": "de"}, "unknown data.source_lang of phrasebook 'de': choose one of en, fr"),
        ({"source_lang": "fr"}, r"data\.source_lang and data\.target_lang are both 'fr'"),
        ({"held_out": "word"}, r"unknown data\.held_out 'word': choose one of sentence, combination"),
        ({"num_pairs": 0}, "num_pairs must be a whole number of at least 1, not 0"),
        ({"val_share": 0.9}, r"val_share \+ test_share must lie in \[0, 1\), not 1.0"),
    ):
        with pytest.raises(ValueError, match=message):
            Phrasebook(**(good | change))
