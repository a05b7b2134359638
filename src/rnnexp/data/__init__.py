"""Datasets: files, splits, batches and the LightningDataModules that supply them. Imports neither models nor tasks."""
