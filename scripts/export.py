"""`python scripts/export.py key=value ...`, the same as `mdzoo export`."""

import sys

from mdzoo.cli import main

if __name__ == "__main__":
    sys.exit(main(["export", *sys.argv[1:]]))
