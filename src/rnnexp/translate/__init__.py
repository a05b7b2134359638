"""The program that translates sentences with finished runs."""
