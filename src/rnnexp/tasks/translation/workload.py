"""The calls that are timed when the cost of translating is measured."""

from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import Any

from rnnexp.data.text.translation import TranslationDataModule
from rnnexp.models import Seq2Seq
from rnnexp.tasks.examples import spread
from rnnexp.tasks.inference_record import BATCH_SIZES
from rnnexp.tasks.translation.multiply_adds import Work, multiply_adds
from rnnexp.tasks.translation.task import TranslationTask
from rnnexp.tasks.translation.translator import Translator
from rnnexp.tasks.workload import NUM_SAMPLES, Workload

BEAM_SIZE = 5
NO_WORDS = "the target language has no spaces between words"
NO_STEPS = "a translation is one call: its words depend on the whole sentence"


def of_sentences(task: TranslationTask, datamodule: TranslationDataModule, network: Seq2Seq) -> Workload:
    """Return the workload of a translator: test sentences from text to text, with greedy and beam search.

    The operations are those of one target token, for a source of median length: decoder, attention and output layer.

    Args:
        task: the trained task, on its device and in its precision.
        datamodule: its data.
        network: the network of the task, or what stands in for it.
    """
    greedy, beam = (
        Translator([network], task.tokenizers, size, 1, task.length_penalty, task.limits) for size in (1, BEAM_SIZE)
    )
    sources = datamodule.sources("test")
    sentences = [sentence for place in spread(len(sources), NUM_SAMPLES) if (sentence := sources[place].strip())]
    lengths = [len(ids) + 1 for ids in task.tokenizers.source.encode_batch(sentences)]
    has_words = datamodule.target_writing.spaces_separate_words
    calls: dict[str, Sequence[Callable[[], Any]]] = {
        name: [partial(_num_words, translator, sentence) for sentence in sentences]
        for name, translator in (("latency", greedy), ("beam5_latency", beam))
    }
    reasons = {} if has_words else dict.fromkeys(("words_per_second", "beam5_words_per_second"), NO_WORDS)
    work = Work(source=0, target=1, pairs=round(median(lengths)), sentences=0)
    return Workload(
        calls,
        {size: partial(greedy.translate, _cycled(sentences, size)) for size in BATCH_SIZES},
        lengths,
        "source tokens",
        2 * sum(multiply_adds(task.model, work).values()),
        counts_words=has_words,
        reasons={"step_latency": NO_STEPS, **reasons},
    )


def _num_words(translator: Translator, sentence: str) -> int:
    """Translate a sentence, and return the number of words of the translation."""
    (translated,) = translator.translate([sentence])
    return len(translated.candidates[0].text.split())


def _cycled(sentences: Sequence[str], size: int) -> list[str]:
    return [sentences[number % len(sentences)] for number in range(size)]
