"""The command `rnnexp` as a program: python -m rnnexp train model=gru"""

from rnnexp.cli.commands import main

if __name__ == "__main__":
    main()
