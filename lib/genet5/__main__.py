"""`python -m genet5 COMMAND ...` is `genet5 COMMAND ...`."""

import sys

from genet5.cli import main

if __name__ == "__main__":
    sys.exit(main())
