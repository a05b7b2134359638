"""The pairs of the phrasebook."""

from rnnexp.data.corpora.phrasebook import PhrasebookPair, generate

CORPUS = generate()


def of(phenomenon: str) -> list[PhrasebookPair]:
    found = [pair for pair in CORPUS if pair.phenomenon == phenomenon]
    assert len(found) > 400
    return found
