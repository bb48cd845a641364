"""EXPECTED.md says what the audit finds in `blocking`; in `async` it finds nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[4]
TALLY = ROOT / "reference" / "tally"
ROW = re.compile(r"^\| (US\d{3}) \| (\S+) \| (\S+) \| (.+?) \| .+ \|$", re.MULTILINE)
AT_START = "start-up"

Found = tuple[str, str, str, str]


def audited(stage: str, spool: Path) -> dict[str, Any]:
    """Imported, with nobody behind its addresses."""
    env = {
        **os.environ,
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "BILLING_URL": "http://127.0.0.1:1",
        "TALLY_STAGE": stage,
        "TALLY_SPOOL": str(spool),
    }
    words = [
        "-m",
        "unstall",
        "audit",
        "tally.app:app",
        "--no-cache",
        "--import",
        "--format",
        "json",
    ]
    done = subprocess.run(
        [sys.executable, *words], cwd=TALLY, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def sites(report: dict[str, Any]) -> set[Found]:
    """What requests meet."""
    return {
        (
            each["code"],
            each["site"]["file"].removeprefix("src/tally/"),
            each["site"]["function"],
            each["site"]["call"],
        )
        for each in report["findings"]
        if each["runs_on"] != AT_START
    }


def expected() -> set[Found]:
    rows = ROW.findall(unescape((TALLY / "EXPECTED.md").read_text()))
    return {(code, file, function, call) for code, file, function, call in rows}


@pytest.mark.slow
def test_the_audit_of_blocking_finds_what_is_expected_and_nothing_else(tmp_path: Path) -> None:
    found = sites(audited("blocking", tmp_path))
    assert len(expected()) > 20
    assert found - expected() == set()
    assert expected() - found == set()


@pytest.mark.slow
def test_async_is_clean_without_a_waiver(tmp_path: Path) -> None:
    report = audited("async", tmp_path)
    assert report["verdict"] == "clean"
    assert sites(report) == set()
    assert report["waived"] == []
    source = "".join(path.read_text() for path in (TALLY / "src").rglob("*.py"))
    assert "unstall: ignore" not in source
