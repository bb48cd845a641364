"""`tally demo`: the case study in two minutes, before and after.

One database, one cache and three pods of each upstream stand for the whole of it; `unstall prove` then plays
one plan against each stage, as anybody would from a shell, and what it wrote is told side by side.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from tally.demo.runs import Wanted, page_of, play
from tally.demo.told import told
from tally.settings import STAGES, SettingsError

SECONDS, RATES = (3.0, 600.0), (1.0, 1_000.0)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=run)
    option = parser.add_argument
    option("--stage", choices=STAGES, action="append", help="play this one; repeatable (all three)")
    option("--seconds", type=float, metavar="S", help="of load in each phase (10)")
    option("--rate", type=float, metavar="N", help="events a second (6)")
    option(
        "--output",
        type=Path,
        default=Path("tally-demo"),
        metavar="DIR",
        help="where the runs and the page are written (tally-demo)",
    )


def run(args: argparse.Namespace) -> int:
    """Raises `SettingsError` or `Unable`."""
    stages = tuple(stage for stage in STAGES if not args.stage or stage in args.stage)
    for name, (low, high) in (("seconds", SECONDS), ("rate", RATES)):
        value = getattr(args, name)
        if value is not None and not low <= value <= high:  # NaN is in no range
            raise SettingsError(
                f"--{name} must be a number from {low:g} to {high:g}, not {value:g}"
            )
    try:
        args.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"--output {args.output} is no folder that can be written ({error.strerror}): name another"
        ) from None
    wanted = Wanted(stages, args.output.resolve(), args.seconds, args.rate)
    began = time.monotonic()
    played = play(wanted, os.environ)
    page = page_of(wanted)
    print(told(played))
    if page is not None:
        print(f"\nBlocking against async, second by second: {_shown(page)}")
    print(
        f"Each run as text and JSON: {_shown(wanted.output)}, {time.monotonic() - began:.0f} s in all."
    )
    return 0


def _shown(path: Path) -> str:
    """As short as it can be given to a browser or an editor."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
