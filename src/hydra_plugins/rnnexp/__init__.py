"""Hydra plugins of rnnexp. Hydra finds plugins only in this namespace."""
