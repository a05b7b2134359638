"""The record of a run: files are the truth, W&B is a mirror. Nothing here imports torch, Lightning or Hydra."""
