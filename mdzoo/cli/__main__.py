"""`python -m mdzoo.cli`, the same as the console command."""

import sys

from mdzoo.cli import main

sys.exit(main())
