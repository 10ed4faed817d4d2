"""`python -m cellist`."""

import sys

from cellist.cli import main

if __name__ == "__main__":
    sys.exit(main())
