"""The driver of eole, a script for an interpreter that has eole: it imports nothing of rnnexp."""

import runpy
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from eole.config.run import PredictConfig, TrainConfig
from eole.constants import CorpusTask
from eole.inputters.dynamic_iterator import build_dynamic_dataset_iter
from eole.inputters.text_utils import Numericalizer, clean_example, tensorify
from eole.models.model import get_model_class
from eole.predict import GNMTGlobalScorer, Translator
from eole.train_single import TrainingInitializer
from eole.trainer import build_trainer
from eole.utils.misc import set_random_seed
from eole.utils.optimizers import Optimizer
from torch.nn.functional import cross_entropy

ON_CPU = -1
"""The id of the device."""


class Eole:
    """eole as a `Toolkit` of driver.py."""

    version = version("eole")
    penalty = 1.0

    def __init__(self, task: dict[str, Any], directory: Path) -> None:
        self.context = TrainingInitializer(TrainConfig(**config(task, directory))).initialize()
        self.config, self.vocabs = self.context.config, self.context.vocabs
        self.padding = self.vocabs["tgt"].lookup_token(self.config.pad_token)
        sides = {"src": "source", "tgt": "target"}
        numericalize = Numericalizer(self.vocabs, task=CorpusTask.TRAIN)
        self.examples: dict[str, list[dict[str, Any]]] = {}
        for split in {name.partition(".")[0] for name in task["sentences"]}:
            lines = [
                (directory / f"{split}.{side}").read_text(encoding="utf-8").splitlines() for side in sides.values()
            ]
            self.examples[split] = [
                numericalize(clean_example({"src": source, "tgt": target, "cid": split, "cid_line_number": index}))
                for index, (source, target) in enumerate(zip(*lines, strict=True))
            ]
        self.translator = self.make_translator()

    def build_model(self) -> Any:  # noqa: ANN401 (eole has no types)
        """Return an untrained network."""
        set_random_seed(self.config.seed, is_cuda=False)
        model, training = self.config.model, self.config.training
        return get_model_class(model).for_training(model, self.vocabs, training, device_id=ON_CPU)

    def make_translator(self) -> Any:  # noqa: ANN401
        """Return eole's search."""
        settings = PredictConfig(
            model_path="none",
            src="none",
            model=self.config.model,
            seed=self.config.seed,
            max_length_ratio=0,  # not limited by the length of the source
            ban_unk_token=True,
        )
        scorer = GNMTGlobalScorer.from_config(settings)
        model = self.build_model()
        return Translator(model, self.vocabs, settings, self.config.model, device_id=ON_CPU, global_scorer=scorer)

    def fit(
        self,
        model: Any,  # noqa: ANN401
        watch: Callable[[int, int], bool],
        note_loss: Callable[[torch.Tensor], None],
        given: list[list[int]] | None,
        set_rate: Callable[[list[dict[str, Any]]], None],
    ) -> None:
        """Train in eole's own loop."""
        optimizer = Optimizer.from_config(model, self.config)
        schedule = optimizer.learning_rate

        def learning_rate(step: int | None = None) -> float:
            group = {"lr": schedule(step)}
            set_rate([group])
            return float(group["lr"])

        optimizer.learning_rate = learning_rate
        trainer = build_trainer(self.config, ON_CPU, model, self.vocabs, optimizer)
        trainer.train_loss.register_forward_hook(lambda _loss, _inputs, outputs: note_loss(outputs[0]))

        def watched() -> Iterator[tuple[Any, int]]:
            for batch in self.own_batches() if given is None else (self.gather("train", each) for each in given):
                if not watch(len(batch["tgt"]), self.num_tokens(batch)):
                    return
                yield batch, 0

        training = self.config.training
        trainer.train(watched(), training.train_steps, valid_steps=training.valid_steps)

    def own_batches(self) -> Iterator[dict[str, Any]]:
        """Return eole's batches without an end."""
        for batch, _ in build_dynamic_dataset_iter(self.config, self.context.transforms, self.vocabs):
            yield batch

    def gather(self, split: str, indices: list[int]) -> dict[str, Any]:
        """Return a batch of sentence pairs."""
        examples = self.examples[split]
        pairs = [(examples[index], position) for position, index in enumerate(indices)]
        batch: dict[str, Any] = tensorify(self.vocabs, pairs, torch.device("cpu"))
        return batch

    def num_tokens(self, batch: dict[str, Any]) -> int:
        """Return the number of target tokens of a batch, with EOS."""
        return int((batch["tgt"][:, 1:] != self.padding).sum())

    def loss(self, model: Any, batch: dict[str, Any]) -> tuple[float, int]:  # noqa: ANN401
        """Return the cross-entropy of the references of a batch, and the number of their tokens."""
        with torch.no_grad():
            outputs = model(batch["src"], batch["tgt"], batch["srclen"])[0]
            logits = model.generator(outputs).flatten(0, 1)
        target = batch["tgt"][:, 1:].flatten()
        loss = cross_entropy(logits, target, ignore_index=self.padding, reduction="sum")
        return loss.item(), self.num_tokens(batch)

    def search(
        self,
        model: Any,  # noqa: ANN401
        batch: dict[str, Any],
        beam_size: int,
        lengths: tuple[int, int],
        penalty: float,
    ) -> list[list[str]]:
        """Return the words of the translations of a batch."""
        name = "avg" if penalty else "none"
        scorer = GNMTGlobalScorer(alpha=penalty, beta=0.0, length_penalty=name, coverage_penalty="none")
        shortest, longest = lengths
        self.translator.update_settings(
            model=model, beam_size=beam_size, min_length=shortest, max_length=longest, global_scorer=scorer
        )
        found = self.translator.predict_batch({name: batch[name] for name in ("src", "srclen")}, attn_debug=False)
        words = self.vocabs["tgt"].ids_to_tokens
        return [[words[token] for token in best[0].tolist()] for best in found["predictions"]]


def config(task: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Return eole's config of a task."""
    values = task["config"]
    network, stack, optimizer = values["task"]["network"], values["model"], values["optimizer"]
    endless = 10**9  # `watch` ends the training
    recipe = {
        "optim": "adam",
        "adam_beta1": optimizer["betas"][0],
        "adam_beta2": optimizer["betas"][1],
        "learning_rate": optimizer["lr"],
        "max_grad_norm": values["trainer"]["gradient_clip_val"] or 0,
        "label_smoothing": values["task"]["label_smoothing"],
        "normalization": "tokens",
        "batch_size": values["data"]["batch_size"],
        "dropout": [0.0],
    }
    return {
        "seed": values["seed"],
        "src_vocab": str(directory / "vocabulary.source"),
        "tgt_vocab": str(directory / "vocabulary.target"),
        "src_vocab_size": task["vocab_sizes"]["source"],
        "tgt_vocab_size": task["vocab_sizes"]["target"],
        "vocab_size_multiple": 1,
        "data": {"corpus": {"path_src": str(directory / "train.source"), "path_tgt": str(directory / "train.target")}},
        "model": {
            "architecture": "custom",  # the architecture "rnn" is always unidirectional
            "hidden_size": stack["hidden_size"],
            "word_vec_size": network["embedding_size"],
            "layers": stack["num_layers"],
            "input_feed": 1,
            "encoder": {
                "encoder_type": "brnn" if stack["bidirectional"] else "rnn",
                "rnn_type": stack["cell"].upper(),
            },
            "decoder": {
                "decoder_type": "rnn",
                "rnn_type": stack["cell"].upper(),
                "global_attention": {"additive": "mlp", "general": "general", "dot": "dot"}[network["attention"]],
            },
        },
        "training": {
            "train_steps": endless,
            "valid_steps": endless,
            "num_workers": 0,
            "bucket_size": len(task["sentences"]["train.source"]),  # an epoch
            "log_attention_entropy": False,
            **(recipe if task.get("recipe") != "own" else {}),
        },
    }


if __name__ == "__main__":
    runpy.run_path(str(Path(__file__).with_name("driver.py")))["main"](Eole)
