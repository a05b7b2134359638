"""Corpora of sentence pairs: Multi30k, Tatoeba, the generated phrasebook and a user's own files."""
