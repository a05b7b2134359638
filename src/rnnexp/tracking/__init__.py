"""The files of runs and sweeps. Nothing here imports torch, Lightning or Hydra."""
