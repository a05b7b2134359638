"""The face of rnnexp.launch.search that Hydra looks for: it imports this for every Hydra program, so it stays cheap."""
