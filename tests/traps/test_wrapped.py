"""What stands for a function while a trap is open is that function to whoever asks, and is put back."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.trapped import codes, trapped
from tests.support.trapped import made as trap
from tests.traps import works
from unstall.traps.primitives import PRIMITIVES


def test_a_name_imported_before_is_put_back_as_well() -> None:
    before = vars(works)["sleep"]
    assert codes(trapped(works.nap_by_its_own_name)) == ["US101"]
    assert vars(works)["sleep"] is before


def test_what_stands_for_a_function_of_c_is_no_method_in_a_class() -> None:
    with trap():

        class Retry:
            pause: Any = time.sleep

        Retry().pause(0)


def test_a_function_that_was_taken_while_it_was_open_goes_on_to_work() -> None:
    with trap():
        taken = time.sleep

    async def main() -> None:
        taken(0.0001)

    asyncio.run(main())
    assert trapped(lambda: taken(0)) == ()


def test_who_wraps_ours_keeps_his_wrapper() -> None:
    before: Any = time.sleep
    calls: list[float] = []
    with trap():
        ours = time.sleep

        def theirs(seconds: float) -> None:
            calls.append(seconds)
            ours(seconds)

        setattr(time, "sleep", theirs)  # noqa: B010
    assert time.sleep is theirs
    asyncio.run(works.nap())
    assert calls == [0.0001]
    time.sleep = before


def test_beside_blockbuster_both_have_their_say() -> None:
    blockbuster = pytest.importorskip("blockbuster")
    before = time.sleep
    theirs = blockbuster.BlockBuster().functions["time.sleep"]
    theirs.activate()
    try:
        with pytest.raises(blockbuster.BlockingError), trap() as caught:
            asyncio.run(works.nap())
    finally:
        theirs.deactivate()
    assert codes(caught.findings) == ["US101"]
    assert time.sleep is before


def test_connections_made_meanwhile_work_on_afterwards(tmp_path: Path) -> None:
    with trap():
        connection = sqlite3.connect(tmp_path / "db")
    connection.execute("create table orders (id integer)")
    connection.executemany("insert into orders values (?)", [(1,), (2,)])
    assert connection.cursor().execute("select count(*) from orders").fetchone() == (2,)
    connection.close()


def test_a_trace_of_the_applications_own_is_not_touched() -> None:
    told: list[str] = []
    works.BASE.set_trace_callback(told.append)
    try:
        asyncio.run(_asking())
        with trap():
            asyncio.run(_asking())
        asyncio.run(_asking())
    finally:
        works.BASE.set_trace_callback(None)
    assert len([each for each in told if each.startswith("insert")]) == 3


async def _asking() -> None:
    await works.ask_database()


def test_what_the_system_supports_is_the_same() -> None:
    sets = ("supports_dir_fd", "supports_fd", "supports_effective_ids", "supports_follow_symlinks")

    def supported() -> dict[tuple[str, str], bool]:
        names = [name for row in PRIMITIVES if row.module == "os" for name in row.names]
        return {
            (name, each): getattr(os, name) in getattr(os, each)
            for name in names if hasattr(os, name) for each in sets
        }  # fmt: skip

    before = supported()
    assert any(before.values())
    with trap():
        assert supported() == before


def test_a_link_is_copied_as_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    with trap():
        shutil.copy2(tmp_path / "link", tmp_path / "copy", follow_symlinks=False)
    assert (tmp_path / "copy").is_symlink()
