"""`python scripts/md.py key=value ...`, the same as `mdzoo md`."""

import sys

from mdzoo.cli import main

if __name__ == "__main__":
    sys.exit(main(["md", *sys.argv[1:]]))
