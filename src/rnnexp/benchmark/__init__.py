"""The program that measures speed."""
