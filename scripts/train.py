"""`python scripts/train.py key=value ...`, the same as `mdzoo train`."""

import sys

from mdzoo.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
