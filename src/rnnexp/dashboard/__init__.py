"""The program that makes W&B workspaces and reports."""
