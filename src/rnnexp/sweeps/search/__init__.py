"""A search: a study of Optuna chooses the jobs of a sweep."""
