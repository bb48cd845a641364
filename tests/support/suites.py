"""Suites of tests that run in a process of their own, under the plugin and nothing else that is installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

_COUNTS = re.compile(r"\d+ (passed|failed|error)")
PLUGIN = "unstall.integrations.pytest_plugin"

SHOP = """
import sqlite3
import time

from fastapi import FastAPI

app = FastAPI()
base = sqlite3.connect("shop.db", isolation_level=None, check_same_thread=False)


@app.get("/orders/{number}")
async def orders(number: int):
    return load(number)


def load(number):
    return base.execute("select ?", (number,)).fetchone()


@app.get("/threads")
def threads():
    return base.execute("select 1").fetchone()


@app.get("/fine")
async def fine():
    return 1
"""


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    out: str

    def counts(self) -> str:
        """The last line: `2 failed, 1 passed`."""
        lines = [line.strip("= ") for line in self.out.splitlines()]
        last = next(line for line in reversed(lines) if _COUNTS.match(line))
        return last.partition(" in ")[0].partition(", 1 warning")[0]


def run_suite(folder: Path, source: str, *options: str, plugins: tuple[str, ...] = ()) -> Ran:
    (folder / "shop.py").write_text(SHOP)
    (folder / "test_shop.py").write_text(textwrap.dedent(source))
    chosen = [part for plugin in (*plugins, PLUGIN) for part in ("-p", plugin)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen, *options],
        cwd=folder,
        env={**_environment(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "120"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return Ran(done.returncode, done.stdout + done.stderr)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
