"""Corpora of sentence pairs: Multi30k, Tatoeba, the generated phrasebook and the user's own files."""
