"""How fast training runs and how soon it begins, every contender in turns within one run."""
