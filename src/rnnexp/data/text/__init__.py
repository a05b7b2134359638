"""Sentence pairs: encoding, length buckets and batches."""
