"""`python scripts/benchmark.py key=value ...`, the same as `mdzoo benchmark`."""

import sys

from mdzoo.cli import main

if __name__ == "__main__":
    sys.exit(main(["benchmark", *sys.argv[1:]]))
