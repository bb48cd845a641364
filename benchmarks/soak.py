"""Whether every slot comes back: ten minutes of calls that are cancelled, refused, late or wrong at random.

Lanes of each backend, with and without a deadline, a guard with routes, queue and deadline, and a pool seen
by its gate are asked by 24 clients; half of what they ask is cancelled within 20 ms. Afterwards nothing may
be held, every slot must be usable at the same time as all others, and no thread may be left. No peer counts
its slots in such a way, so none is measured.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.support.bars import Bar, table
from benchmarks.support.harness import Harness, parser
from benchmarks.support.soaking import Soaked, soak

FULL_S, QUICK_S = 300.0, 10.0
"""On each loop."""
LOOPS = {"asyncio": asyncio.run, "uvloop": uvloop.run}


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, help=f"on each loop (default: {FULL_S:.0f})")
    harness = Harness(options.parse_args())
    seconds = harness.options.seconds or (QUICK_S if harness.quick else FULL_S)
    harness.section(f"{seconds:.0f} s on each loop")
    found: dict[str, Soaked] = {}
    for name, run in LOOPS.items():
        harness.progress(name)
        found[name] = run(soak(seconds, harness.seed))
    done: Counter[str] = sum((each.done for each in found.values()), Counter())
    kinds = sorted({key.rpartition(" ")[0] for key in done})
    ends = ("done", "refused", "cancelled")
    rows = [(kind, *(str(done[f"{kind} {end}"]) for end in ends)) for kind in kinds]
    print(table(("asked for", *ends), rows))
    for name, soaked in found.items():
        for missing in soaked.missing:
            print(f"{name}: {missing}")
    harness.raw["done"] = dict(done)
    harness.raw["missing"] = {name: soaked.missing for name, soaked in found.items()}
    lost = sum(len(soaked.missing) for soaked in found.values())
    cancelled = sum(done[f"{kind} cancelled"] for kind in kinds)
    return harness.finish(
        [
            Bar("soak_lost", f"{lost}", "= 0", lost == 0),
            Bar("soak_cancelled", f"{cancelled}", "> 100", cancelled > 100),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
