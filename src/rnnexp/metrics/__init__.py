"""Scores: accuracy of classes, BLEU and chrF of translations."""
