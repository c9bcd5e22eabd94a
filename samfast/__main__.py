"""python -m samfast: the same as the command samfast."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
