"""Loaders whose order is a function of the seed and the epoch, so that training resumes in the middle of an epoch."""
