"""Backends that run the jobs of a sweep: processes on this machine, submitit, SLURM and Ray."""
