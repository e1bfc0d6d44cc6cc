"""`python scripts/report.py key=value ...`, the same as `mdzoo report`."""

import sys

from mdzoo.cli import main

if __name__ == "__main__":
    sys.exit(main(["report", *sys.argv[1:]]))
