"""`python scripts/evaluate.py key=value ...`, the same as `mdzoo evaluate`."""

import sys

from mdzoo.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
