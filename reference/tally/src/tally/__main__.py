from __future__ import annotations

import sys

from tally.cli import main

sys.exit(main())
