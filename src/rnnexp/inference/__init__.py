"""Finished runs as trained networks, without Lightning, Hydra and W&B: what `rnnexp.load` returns."""
