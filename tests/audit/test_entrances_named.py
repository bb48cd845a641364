"""Entrances that the settings name, for frameworks that nobody knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from unstall.audit.audit import audit
from unstall.errors import UsageError
from unstall.model.report import Report

BOT = """
import requests
from unknown_framework import on

class Bot:
    def answer(self):
        requests.get("a", timeout=1)

def quiet():
    requests.get("b", timeout=1)

on("message", quiet)
"""


def read(root: Path, *entrances: str) -> Report:
    (root / "bot.py").write_text(BOT)
    return audit(root, only=frozenset({"US102"}), entrances=entrances)


def test_what_nobody_is_seen_to_call_is_silent(tmp_path: Path) -> None:
    assert read(tmp_path).findings == ()


@pytest.mark.parametrize(("name", "line"), [("bot:quiet", 10), ("bot:Bot.answer", 7)])
def test_what_the_settings_name_runs_on_the_loop(tmp_path: Path, name: str, line: int) -> None:
    (finding,) = read(tmp_path, name).findings

    assert (finding.site and finding.site.line, finding.runs_on) == (line, "loop")
    assert finding.confidence == "certain"
    assert finding.entry is not None
    assert (finding.entry.kind, finding.entry.function) == ("callback", name)


@pytest.mark.parametrize(
    ("name", "advice"),
    [("bot:quite", "did you mean 'bot:quiet'?"), ("x", "write package.module:function")],
)
def test_a_name_that_is_not_there_is_an_error(tmp_path: Path, name: str, advice: str) -> None:
    with pytest.raises(UsageError, match="which is no function here") as told:
        read(tmp_path, name)

    assert str(told.value).endswith(advice)
