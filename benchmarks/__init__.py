"""Runnable comparisons. A script's own folder comes first where modules are looked for, and must not:
what is measured here is called as the scripts are. The reference service lends its PostgreSQL.
"""

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
sys.path[:] = [place for place in sys.path if not place or Path(place).resolve() != _HERE]
sys.path.append(str(_HERE.parent / "reference" / "tally" / "src"))
