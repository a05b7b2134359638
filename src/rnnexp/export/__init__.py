"""The program that writes a finished run as a file for other runtimes."""
