"""The face of rnnexp.launch.pool that Hydra looks for: it imports this for every Hydra program, so it stays cheap."""
