"""Addresses of proxies, told as those of the upstreams behind them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.prove.playing import recording
from unstall.errors import RecordingError
from unstall.prove.peers import read_behind, renamed

NAMES = {
    "127.0.0.1:41000": "db.internal:5432",
    "127.0.0.1:4100": "cache:6379",
    "[::1]:41000": "[fd00::1]:1",
}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('"peer":"127.0.0.1:41000"', '"peer":"db.internal:5432"'),
        ("poll on 127.0.0.1:4100, and", "poll on cache:6379, and"),
        ("on [::1]:41000.", "on [fd00::1]:1."),
        ("127.0.0.1:410001 and 127.0.0.1:41", "127.0.0.1:410001 and 127.0.0.1:41"),
        ("10.127.0.0.1:41000", "10.127.0.0.1:41000"),
        ("http://127.0.0.1:41000/x", "http://db.internal:5432/x"),
        ("app.py:41000 at 12:30", "app.py:41000 at 12:30"),
    ],
)
def test_only_whole_addresses_of_proxies_are_replaced(text: str, told: str) -> None:
    assert renamed(text, NAMES) == told


def test_a_recording_keeps_the_names_it_was_read_with(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    recording().save(file)
    before = read_behind(file, {})
    assert read_behind(file, NAMES) == before
    file.write_text(file.read_text().replace('"serve"', '"127.0.0.1:41000"'))
    assert read_behind(file, NAMES).processes[0].command == ("db.internal:5432",)
    assert "41000" not in file.read_text()


def test_a_recording_that_is_not_there_is_said_as_ever(tmp_path: Path) -> None:
    with pytest.raises(RecordingError):
        read_behind(tmp_path / "none", NAMES)
