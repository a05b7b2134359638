"""English and French sentences made by a grammar, to measure what a translation model has learned.

An early English word decides a late French word, or the reverse, over a controlled number of words, among them nouns of
another gender and number. `generate` makes the corpus, `split` divides it, `PHENOMENA` lists the relations that are
measured. French is written with the apostrophe ' and a plain space before the question mark.
"""

from rnnexp.data.corpora.phrasebook.generation import PHENOMENA, Phenomenon, PhrasebookPair, generate, split

__all__ = ["PHENOMENA", "Phenomenon", "PhrasebookPair", "generate", "split"]
