"""What every benchmark does at its beginning and its end."""

from __future__ import annotations

import argparse
import json
import random
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.support.bars import Bar, exit_code
from benchmarks.support.machine import Others, description


class Harness:
    """Options, chance, raw figures and the last lines of one run."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.quick: bool = options.quick
        self.seed: int = options.seed
        self.chance = random.Random(options.seed)
        self.raw: dict[str, Any] = {**description(), "seed": self.seed, "quick": self.quick}
        self._others = Others()
        self._from_s = time.monotonic()
        for name in ("date", "commit", "machine", "python"):
            print(f"{name}: {self.raw[name]}")
        print(f"command: {shlex.join(sys.argv)}")
        print(f"seed: {self.seed}")
        if self.quick:
            print("quick: few repetitions, so the intervals are wider than those of a full run")

    def section(self, title: str) -> None:
        print(f"\n{title}", flush=True)

    def progress(self, text: str) -> None:
        """To standard error, so that standard output is the report."""
        print(text, file=sys.stderr, flush=True)

    def finish(self, bars: Sequence[Bar]) -> int:
        took, others = time.monotonic() - self._from_s, self._others.cores()
        print(f"\ntook {took:.0f} s; others on this machine used {others:.2f} cores meanwhile")
        self.raw["took_s"], self.raw["others_cores"] = took, others
        self.raw["bars"] = [bar.line() for bar in bars]
        if self.options.json:
            self.options.json.write_text(json.dumps(self.raw, indent=1) + "\n")
        for bar in bars:
            print(bar.line())
        return exit_code(bars)


def parser(description: str | None) -> argparse.ArgumentParser:
    """With the options that all benchmarks share."""
    options = argparse.ArgumentParser(description=(description or "").split("\n")[0])
    options.add_argument("--quick", action="store_true", help="under a minute, wider intervals")
    options.add_argument("--json", type=Path, metavar="FILE", help="keep the raw figures")
    options.add_argument("--seed", type=int, default=1, help="of the random order (default: 1)")
    return options
