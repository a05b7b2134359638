"""The program that lists, compares and removes runs. Nothing here imports torch, Lightning or Hydra."""
