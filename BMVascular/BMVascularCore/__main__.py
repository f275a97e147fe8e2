"""``python -m BMVascularCore``: the same command line as ``bmvascular``."""

import sys

from BMVascularCore.cli import main

if __name__ == "__main__":
    sys.exit(main())
