"""The program that compares finished runs."""
