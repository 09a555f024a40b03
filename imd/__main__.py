"""`python -m imd`: the same as the command `imd`."""

from __future__ import annotations

import sys

from imd.cli.main import main

sys.exit(main())
