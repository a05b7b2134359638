"""TranslationDataModule for each corpus: the classes that the configs name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from rnnexp.data.corpora.generated import GeneratedPhrasebook
from rnnexp.data.corpora.multi30k import Multi30k
from rnnexp.data.corpora.parallel import ParallelFiles
from rnnexp.data.corpora.tatoeba import Tatoeba
from rnnexp.data.text.translation import Batching, TranslationDataModule


class Multi30kDataModule(TranslationDataModule):
    """Captions of images; see `Multi30k` and `TranslationDataModule` for the arguments."""

    def __init__(
        self,
        *,
        root: str,
        source_lang: str,
        target_lang: str,
        test: str,
        mirrors: Sequence[str] | None,
        timeout_seconds: float = 8.0,
        **batching: Unpack[Batching],
    ) -> None:
        corpus = Multi30k(Path(root).expanduser(), source_lang, target_lang, test, mirrors, timeout_seconds)
        super().__init__(corpus, **batching)


class TatoebaDataModule(TranslationDataModule):
    """Short everyday sentences; see `Tatoeba` and `TranslationDataModule` for the arguments."""

    def __init__(
        self,
        *,
        root: str,
        path: str | None,
        source_lang: str,
        target_lang: str,
        filter: str,  # noqa: A002 (the name of the config's key)
        val_share: float,
        test_share: float,
        mirrors: Sequence[str] | None,
        timeout_seconds: float = 8.0,
        **batching: Unpack[Batching],
    ) -> None:
        corpus = Tatoeba(
            Path(root).expanduser(),
            None if path is None else Path(path).expanduser(),
            source_lang,
            target_lang,
            filter,
            val_share,
            test_share,
            mirrors,
            timeout_seconds,
        )
        super().__init__(corpus, **batching)


class ParallelDataModule(TranslationDataModule):
    """The user's own files; see `ParallelFiles` and `TranslationDataModule` for the arguments."""

    def __init__(
        self,
        *,
        source_lang: str,
        target_lang: str,
        train: str | Sequence[str] | None,
        val: str | Sequence[str] | None,
        test: str | Sequence[str] | None,
        **batching: Unpack[Batching],
    ) -> None:
        super().__init__(
            ParallelFiles(source_lang, target_lang, {"train": train, "val": val, "test": test}), **batching
        )


class PhrasebookDataModule(TranslationDataModule):
    """Generated pairs; see `GeneratedPhrasebook` and `TranslationDataModule` for the arguments."""

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
        **batching: Unpack[Batching],
    ) -> None:
        corpus = GeneratedPhrasebook(
            source_lang, target_lang, num_pairs, generator_seed, held_out, val_share, test_share
        )
        super().__init__(corpus, **batching)
