"""The program that creates W&B workspaces and reports."""
