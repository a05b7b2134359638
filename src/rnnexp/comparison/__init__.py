"""Finished runs turned into an answer, from their files alone: no Hydra, no Lightning, no W&B, and no GPU."""
