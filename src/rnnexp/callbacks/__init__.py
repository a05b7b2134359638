"""Callbacks for checkpoints, logged metrics, progress and stopping; one override switches each of them off."""
