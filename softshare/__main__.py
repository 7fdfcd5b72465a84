"""`python -m softshare`: the form that workflow rules use, for it finds the package in any environment."""

import sys

from softshare.cli import main

sys.exit(main())
