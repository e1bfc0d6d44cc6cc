"""`python scripts/doctor.py key=value ...`, the same as `mdzoo doctor`."""

import sys

from mdzoo.cli import main

if __name__ == "__main__":
    sys.exit(main(["doctor", *sys.argv[1:]]))
