"""The data module that supplies a user's own sequences as batches."""

import hashlib
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from rnnexp.core.errors import UserError
from rnnexp.core.types import Primitive
from rnnexp.core.validation import require_positive, validate_choice
from rnnexp.data.base import DataModule
from rnnexp.data.batches import NO_LABEL, LabeledSequences, MeasuredSequences, TaggedSequences, TargetUnits
from rnnexp.data.loading.buckets import BucketOrder
from rnnexp.data.sequences.content import Array, Content, Files, Wanted
from rnnexp.data.sequences.files import find_paths, read_files
from rnnexp.data.sequences.loader import EncodedSequences, FileOrder, SequenceLoader
from rnnexp.data.sequences.preprocessing import Preprocessing, encode_inputs, mean_and_std, require_values
from rnnexp.data.sequences.splits import divide, require_separate_groups
from rnnexp.data.sequences.targets import (
    MAX_CLASSES,
    ClassNames,
    class_names,
    encode_labels,
    encode_numbers,
    labels_of,
    numbers_of,
    require_known,
    standard_units,
    target_names,
)

log = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")
BATCH_TYPES = (LabeledSequences, TaggedSequences, MeasuredSequences)
NORMALIZATIONS = ("standard", "none")
MISSING = ("refuse", "mask")


class SequencesDataModule(DataModule):
    """Training, validation and test sequences from files, of any lengths, whole in memory.

    A file is an .npz of the arrays x [samples, time, features], y and optionally lengths; the same as .npy files; a
    table in long form, CSV or Parquet, with a row for each step; or a .ts file of the UEA/UCR archive. Inputs and
    numbers to predict are standardized with the training split alone.

    Args:
        name: the name of the data in tables.
        train, val, test: the files of each split. Without `val` or `test`, the split is taken from `train`.
        val_size, test_size: the number of sequences of a split that is taken from `train`, or their share below 1.
        split_seed: the seed of that choice.
        group: the column or array with the group of each sequence; the sequences of a group are in one split.
        id, time: the columns of a table with the sequence and the time of a row. Without `time`, rows are in order.
        features: the columns that are features; None for all others.
        target: the column to predict, or several numbers.
        per_step: whether a regression predicts numbers at each step, and not for each sequence.
        normalize: `standard` gives each feature the mean 0 and the standard deviation 1, `none` leaves it.
        missing: `refuse` missing values, or `mask` them: see `encode_inputs`.
        batch_size, eval_batch_size: sequences per batch and rank in training, and in validation and test.
        window: number of training batches that are sorted by length together, see `BucketOrder`.
        seed: the seed of the order of training sequences.
        predict: the file of sequences without targets, for predictions with the weights of a checkpoint. No split is
            read.

    Raises:
        ValueError: for a choice outside its list, a value that names no file, or a size that is not positive.
    """

    batch_type: ClassVar = LabeledSequences

    def __init__(
        self,
        *,
        name: str,
        train: Files,
        val: Files,
        test: Files,
        val_size: float,
        test_size: float,
        split_seed: int,
        group: str | None,
        id: str,  # noqa: A002 (a config key)
        time: str | None,
        features: Sequence[str] | None,
        target: str | Sequence[str],
        per_step: bool,
        normalize: str,
        missing: str,
        batch_size: int,
        eval_batch_size: int,
        window: int,
        seed: int,
        predict: Files,
    ) -> None:
        super().__init__()
        validate_choice("data.normalize", normalize, NORMALIZATIONS)
        validate_choice("data.missing", missing, MISSING)
        for key, size in (("val_size", val_size), ("test_size", test_size)):
            if type(size) not in (int, float) or not (size >= 0 and (type(size) is int or size < 1)):
                raise ValueError(f"data.{key} must be a whole number of at least 0 or a share below 1, not {size!r}")
        self.wanted = Wanted(
            id=_name("id", id),
            time=None if time is None else _name("time", time),
            group=None if group is None else _name("group", group),
            target=_names("target", target),
            features=None if features is None else _names("features", features),
        )
        if leaked := set(self.wanted.features or ()) & set(self.wanted.target):
            raise ValueError(f"data.features names {leaked.pop()!r}, which is data.target: leave it out")
        require_positive(batch_size=batch_size, eval_batch_size=eval_batch_size, window=window)
        self.dataset_name = name
        self.files = {
            split: find_paths(f"data.{split}", files)
            for split, files in {"train": train, "val": val, "test": test, "predict": predict}.items()
        }
        self.sizes = {"val": val_size, "test": test_size}
        self.split_seed = split_seed
        self.per_step = per_step
        self.normalize = normalize
        self.missing = missing
        self.batch_size, self.eval_batch_size, self.window, self.seed = batch_size, eval_batch_size, window, seed
        self._chosen_type: type = self.batch_type
        self._preprocessing: Preprocessing | None = None
        self._is_set_up = False

    def choose_batch_type(self, consumed: type) -> type:
        self._chosen_type = consumed if consumed in BATCH_TYPES else self.batch_type
        return self._chosen_type

    def use_preprocessing_of(self, checkpoint: Mapping[str, Any]) -> None:
        """Use the standardization and the classes that the weights of a checkpoint were trained with."""
        known = Preprocessing.from_state(checkpoint[type(self).__qualname__])
        predicts_numbers = self._chosen_type is MeasuredSequences
        if (known.units is not None) != predicts_numbers or (known.classes is None) != predicts_numbers:
            raise ValueError(f"it has {'classes' if predicts_numbers else 'numbers'} as targets")
        # The network is made for the classes, so there must be as many as its weights have.
        number = len(known.units.names if known.units is not None else known.classes or ())
        if all(weight.shape[:1] != (number,) for weight in checkpoint["state_dict"].values()):
            raise ValueError(f"no weight belongs to its {number:,} targets")
        self._preprocessing = known

    @staticmethod
    def evaluation_overrides(changed: Collection[str]) -> dict[str, Any]:
        # Only one file is read: the others may be on another machine, and nothing is divided by groups.
        if "predict" in changed:
            return dict.fromkeys((*SPLITS, "group"))
        return dict.fromkeys(("train", "val", "group")) if "test" in changed else {}

    def prediction_keys(self) -> dict[str, Sequence[object]]:
        """Return the columns that name the rows of predictions: the sequence, and of a target per step the time."""
        content = self._predicted
        assert content is not None
        if not self._has_target_per_step:
            return {self.wanted.id: content.ids}
        if content.times is not None:
            times, name = content.times.tolist(), str(self.wanted.time)
        else:
            times = [step for length in content.lengths.tolist() for step in range(length)]
            name = "step" if self.wanted.id != "step" else "step number"
        return {self.wanted.id: np.repeat(content.ids, content.lengths).tolist(), name: times}

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002 (all splits are read at once)
        """Read the files, once. A trainer is not needed.

        With the preprocessing of a checkpoint only the sequences to test or to predict are read.

        Raises:
            UserError: if a file is missing or damaged, the files do not fit together, or a split is empty.
        """
        if self._is_set_up:
            return
        contents = self._read()
        targets = {} if "predict" in contents else {split: self._targets_of(each) for split, each in contents.items()}
        self._samples = self._divide(contents, targets.get("train"))
        if self._preprocessing is None:
            self._preprocessing = self._fit(contents["train"], targets["train"])
        self._require_same_features(contents)
        encoded = {split: self._encode(split, each, targets.get(split)) for split, each in contents.items()}
        self._encoded = {split: encoded.get(split) or encoded["train"] for split in self._samples}
        self._describe(contents, targets)
        self._is_set_up = True

    @property
    def preprocessing(self) -> Preprocessing:
        """The values with which inputs and targets are encoded."""
        assert self._preprocessing is not None
        return self._preprocessing

    @property
    def input_size(self) -> int:
        """Features per step, with the indicators of missing values."""
        return len(self.preprocessing.mean) * (2 if self.missing == "mask" else 1)

    @property
    def seq_len(self) -> int | None:
        """Steps per sequence; None if sequences differ."""
        shortest, longest = self._lengths
        return longest if shortest == longest else None

    @property
    def classes(self) -> ClassNames:
        """The labels of the classes as the files write them."""
        assert self.preprocessing.classes is not None
        return self.preprocessing.classes

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.classes)

    @property
    def test_ids(self) -> Sequence[str]:
        """The id of each test sequence in a table, or its number in another file, from 0 on."""
        return self._test_ids

    @property
    def feature_names(self) -> Sequence[str]:
        """The names of the features, without those of the indicators of missing values, which follow them."""
        return self.preprocessing.features or [f"feature {number}" for number in range(len(self.preprocessing.mean))]

    @property
    def units(self) -> TargetUnits:
        """The numbers to predict, and their standardization."""
        assert self.preprocessing.units is not None
        return self.preprocessing.units

    @property
    def data_info(self) -> dict[str, Primitive]:
        """The description of the data for the record of a run: a flat mapping to primitives."""
        preprocessing = self.preprocessing
        shortest, longest = self._lengths
        return {
            "name": self.dataset_name,
            **({"seq_len": longest} if shortest == longest else {}),
            "shortest": shortest,
            "longest": longest,
            "input_size": self.input_size,
            "features": None if preprocessing.features is None else ", ".join(preprocessing.features),
            "num_classes": None if preprocessing.classes is None else self.num_classes,
            "classes": None if preprocessing.classes is None else ", ".join(map(str, self.classes)),
            "targets": None if preprocessing.units is None else ", ".join(self.units.names),
            "normalize": self.normalize,
            "missing": self.missing,
            "num_train": preprocessing.num_train,
            "num_val": len(self._samples.get("val", ())),
            "num_test": len(self._samples.get("test", ())),
            "test_digest": self._test_digest,
            **{f"files/{split}": ", ".join(map(str, paths)) for split, paths in self.files.items() if paths},
        }

    @property
    def summary(self) -> str:
        """The data in one line, for the log."""
        shortest, longest = self._lengths
        steps = f"{longest} steps" if shortest == longest else f"{shortest} to {longest} steps"
        sizes = ", ".join(f"{len(samples):,} {split}" for split, samples in self._samples.items())
        return f"{self.dataset_name}, {steps} of {self.input_size}: {sizes}"

    def state_dict(self) -> dict[str, Any]:
        """Return the preprocessing, which weights depend on, for checkpoints."""
        return self.preprocessing.as_state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Raise UserError unless training continues with the same preprocessing."""
        if Preprocessing.from_state(state_dict) != self.preprocessing:
            raise UserError(
                "the checkpoint was saved in training on other sequences, of another mean, deviation or class: "
                "continue with the same data.train"
            )

    def train_dataloader(self) -> SequenceLoader:
        """Return batches of the training split, new ones in each epoch and the same number on each rank.

        Raises:
            UserError: if there are fewer sequences than ranks.
        """
        encoded, samples = self._encoded["train"], self._samples["train"]
        rank, world_size = self.rank_and_world_size("train", len(samples))
        order = BucketOrder(
            samples,
            (encoded.lengths,),
            batch_size=self.batch_size,
            batch_unit="sentences",
            window=self.window,
            shuffle=self.reshuffles,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
            equal_length_ranks=True,
        )
        return SequenceLoader(encoded, order, self._chosen_type)

    def val_dataloader(self) -> SequenceLoader | list[SequenceLoader]:
        """Return batches of the validation split, every sample once over all ranks; an empty list without one."""
        return self._eval_loader("val") if len(self._samples.get("val", ())) else []

    def test_dataloader(self) -> SequenceLoader:
        """Return batches of the test split in the order of the file, every sample once over all ranks."""
        return self._eval_loader("test")

    def predict_dataloader(self) -> SequenceLoader:
        """Return batches of the sequences to predict, in the order of the file."""
        return self._eval_loader("predict")

    def _eval_loader(self, split: str) -> SequenceLoader:
        samples = self._samples[split]
        order = FileOrder(samples, self.eval_batch_size, *self.rank_and_world_size(split, len(samples)))
        return SequenceLoader(self._encoded[split], order, self._chosen_type)

    @property
    def _has_target_per_step(self) -> bool:
        return self._chosen_type is TaggedSequences or (self._chosen_type is MeasuredSequences and self.per_step)

    def _read(self) -> dict[str, Content]:
        """Return the content of the files that are needed, by split."""
        known = self._preprocessing
        splits: Sequence[str] = [split for split in SPLITS if self.files[split]]
        if self.files["predict"]:
            if known is None:
                raise UserError("data.predict has no weights to predict with: python -m rnnexp.predict sets it")
            splits = ["predict"]
        elif known is not None and self.files["test"]:
            splits = ["test"]
        elif not self.files["train"]:
            raise UserError("data.train names no file: give data.train=FILE (.npz, .npy, .csv, .parquet or .ts)")
        wanted = replace(self.wanted, per_step=self._has_target_per_step, needs_targets="predict" not in splits)
        if known is not None:
            wanted = replace(wanted, features=known.features)
        contents = {}
        for split in splits:
            contents[split] = content = read_files(self.files[split], wanted)
            require_values(content, self.missing)
            # Other files have the features of the first.
            wanted = replace(wanted, features=wanted.features or content.features)
        require_separate_groups(contents)
        return contents

    def _targets_of(self, content: Content) -> Array:
        """Return the labels of classes, or numbers, of sequences or steps."""
        if self._chosen_type is MeasuredSequences:
            return numbers_of(content)
        return labels_of(content, may_miss=self._has_target_per_step and self.missing == "mask")

    def _divide(self, contents: Mapping[str, Content], train_targets: Array | None) -> dict[str, Tensor]:
        """Return the sequences of each split, int64 [samples]; those of a file or a part of the training file."""
        samples = {split: torch.arange(len(content)) for split, content in contents.items()}
        if "train" in contents:
            sizes = {split: self.sizes[split] for split in ("val", "test") if not self.files[split]}
            if sizes.get("test") == 0:
                raise UserError("data.test names no file and data.test_size=0: give one of them, to test on")
            labels = train_targets if self._chosen_type is LabeledSequences else None
            samples |= divide(contents["train"], sizes, self.split_seed, labels)
        return {split: samples[split] for split in (*SPLITS, "predict") if split in samples}

    def _fit(self, content: Content, targets: Array) -> Preprocessing:
        """Return the preprocessing of the training split."""
        samples = self._samples["train"]
        mean, std = mean_and_std(content, samples)
        if self.normalize == "none":
            mean, std = [0.0] * len(mean), [1.0] * len(std)
        is_train = np.isin(np.arange(len(content)), samples.numpy())
        targets = targets[np.repeat(is_train, content.lengths) if self._has_target_per_step else is_train]
        classes, units = None, None
        if self._chosen_type is MeasuredSequences:
            units = standard_units(target_names(content, targets.shape[1]), targets)
        else:
            classes = class_names(targets)
            if len(classes) < 2:
                raise UserError(f"{content.path}: all training targets are {classes}: a class needs another")
            if len(classes) > MAX_CLASSES:
                raise UserError(
                    f"{content.path}: has {len(classes):,} classes, and {MAX_CLASSES:,} at most are learned: is the "
                    "target another column, or a number (task=regression)?"
                )
        return Preprocessing(content.features, mean, std, classes, units, len(samples))

    def _require_same_features(self, contents: Mapping[str, Content]) -> None:
        number = len(self.preprocessing.mean)
        for content in contents.values():
            if content.values.shape[1] != number:
                raise UserError(
                    f"{content.path}: has {content.values.shape[1]} features, and training {number}: give the same ones"
                )

    def _encode(self, split: str, content: Content, targets: Array | None) -> EncodedSequences:
        preprocessing = self.preprocessing
        encoded = None
        if targets is not None and preprocessing.units is not None:
            self._require_same_targets(content, targets)
            encoded = encode_numbers(targets, preprocessing.units)
        elif targets is not None:
            remedy = "leave it out, or move such a sequence to the training file"
            if split == "train":
                remedy = "choose another data.split_seed, or leave the class out"
            require_known(content, targets, self.classes, remedy)
            encoded = encode_labels(targets, self.classes)
        is_label = preprocessing.classes is not None
        return EncodedSequences(
            encode_inputs(content, preprocessing, self.missing),
            torch.from_numpy(content.offsets),
            encoded,
            per_step=self._has_target_per_step,
            past_end=NO_LABEL if is_label else 0,
        )

    def _require_same_targets(self, content: Content, numbers: Array) -> None:
        number = len(self.units.names)
        if numbers.shape[1] != number:
            raise UserError(
                f"{content.path}: has {numbers.shape[1]} numbers to predict, and training {number}: give the same ones"
            )

    def _describe(self, contents: Mapping[str, Content], targets: Mapping[str, Array]) -> None:
        """Set what the record of a run says, and log how many test sequences are also in training."""
        lengths = torch.cat([self._encoded[split].lengths[each] for split, each in self._samples.items()])
        self._lengths = int(lengths.min()), int(lengths.max())
        self._test_digest, self._test_ids = None, []
        digests = {
            split: sequence_digests(contents.get(split) or contents["train"], samples)
            for split, samples in self._samples.items()
        }
        if "test" in digests:
            file = "test" if "test" in contents else "train"
            self._test_ids = [contents[file].ids[sample] for sample in self._samples["test"].tolist()]
            taken = targets[file][self._samples["test"].numpy()] if not self._has_target_per_step else targets[file]
            text = "".join([*digests["test"], *map(str, taken.tolist())])
            self._test_digest = hashlib.sha256(text.encode()).hexdigest()
        common = set(digests.get("train", ())) & set(digests.get("test", ()))
        if common:
            number = sum(digest in common for digest in digests["test"])
            log.warning(
                "%s of %s test sequences are also in training: the test tells less than it seems",
                *(f"{number:,}", f"{len(digests['test']):,}"),
            )
        self._predicted = contents.get("predict")


def sequence_digests(content: Content, samples: Tensor) -> list[str]:
    """Return the SHA-256 of the inputs of some sequences."""
    offsets = content.offsets
    return [
        hashlib.sha256(content.values[offsets[each] : offsets[each + 1]].astype(np.float64).tobytes()).hexdigest()
        for each in samples.tolist()
    ]


def _name(key: str, name: object) -> str:
    """Return a name. YAML reads a name of digits as a number. Raise ValueError for any other value."""
    if isinstance(name, bool) or not isinstance(name, str | int) or name == "":
        raise ValueError(f"data.{key} must be the name of a column, not {name!r}")
    return str(name)


def _names(key: str, names: object) -> tuple[str, ...]:
    """Return one name or several. Raise ValueError for any other value, for none, and for a name that stands twice."""
    listed = names if isinstance(names, list | tuple) and names else [names]
    found = tuple(_name(key, name) for name in listed)
    if len(set(found)) < len(found):
        raise ValueError(f"data.{key} must name each column once, not {', '.join(found)}")
    return found
