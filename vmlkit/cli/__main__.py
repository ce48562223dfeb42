"""``python -m vmlkit.cli`` is the command ``vmlkit``."""

import sys

from vmlkit.cli import main

if __name__ == "__main__":
    sys.exit(main())
