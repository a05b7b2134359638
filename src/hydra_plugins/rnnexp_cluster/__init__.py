"""The faces of rnnexp's cluster engines that Hydra looks for: it imports this for every program, so it stays cheap."""
