"""Uploads are on disk, whole, or not there."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import anyio
import pytest

from tally.worker import spool as module
from tally.worker.spool import Spool, TooLarge
from unstall import Lane

NUMBER = UUID("00000000-0000-0000-0000-000000000001")


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Lane("spool-test", threads=2) as lane:
        yield Spool(tmp_path / "spool", lane)


async def of(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def left_in(spool: Spool) -> list[str]:
    return sorted(path.name for path in spool.folder.iterdir())


def test_an_upload_is_stored_with_its_size_and_digest(spool: Spool) -> None:
    chunks = [os.urandom(100_000) for _ in range(7)] + [b""]
    stored = asyncio.run(spool.store(NUMBER, of(*chunks), 1_000_000))
    data = b"".join(chunks)
    assert spool.path(NUMBER).read_bytes() == data
    assert (stored.size, stored.sha256) == (700_000, hashlib.sha256(data).hexdigest())
    assert left_in(spool) == [str(NUMBER)]


def test_one_that_is_too_large_leaves_nothing(spool: Spool) -> None:
    with pytest.raises(TooLarge):
        asyncio.run(spool.store(NUMBER, of(b"a" * 600, b"b" * 600), 1000))
    assert left_in(spool) == []


def test_one_that_breaks_off_leaves_nothing(spool: Spool) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"a" * module.HOP_BYTES
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        asyncio.run(spool.store(NUMBER, broken(), 10**9))
    assert left_in(spool) == []


def test_a_client_that_goes_leaves_nothing(spool: Spool) -> None:
    async def main() -> None:
        began = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"a" * module.HOP_BYTES
            began.set()
            await asyncio.Event().wait()

        async with (
            anyio.create_task_group() as group
        ):  # whose cancelling goes on, as a deadline's does
            group.start_soon(spool.store, NUMBER, slow(), 10**9)
            await began.wait()
            group.cancel_scope.cancel()

    asyncio.run(main())
    assert left_in(spool) == []


def test_a_full_disk_is_told_and_leaves_nothing(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        asyncio.run(spool.store(NUMBER, of(b"abc"), 1000))
    assert left_in(spool) == []


def test_an_upload_is_synced_before_it_has_its_name(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bool]] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        what = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        synced.append((what, spool.path(NUMBER).exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    asyncio.run(spool.store(NUMBER, of(b"abc"), 1000))
    assert synced == [("file", False), ("folder", True)]


def test_an_upload_has_its_name_only_when_it_is_complete(spool: Spool) -> None:
    async def main() -> None:
        async def looking() -> AsyncIterator[bytes]:
            yield b"a" * module.HOP_BYTES
            assert not spool.path(NUMBER).exists()
            yield b"b"

        await spool.store(NUMBER, looking(), 10**9)

    asyncio.run(main())
    assert spool.path(NUMBER).stat().st_size == module.HOP_BYTES + 1


def test_old_uploads_are_named_and_old_halves_removed(spool: Spool) -> None:
    old, new = uuid4(), uuid4()

    async def main() -> list[UUID]:
        for number in (old, new):
            await spool.store(number, of(b"abc"), 10)
        (spool.folder / f"{uuid4()}.part").write_bytes(b"")
        (spool.folder / "README").write_bytes(b"")
        for path in spool.folder.iterdir():
            if path != spool.path(new):
                os.utime(path, (1, 1))
        return await spool.older_than(3600)

    assert asyncio.run(main()) == [old]
    assert left_in(spool) == sorted(["README", str(old), str(new)])


def test_a_folder_that_is_not_there_has_nothing_old(spool: Spool) -> None:
    assert asyncio.run(spool.older_than(0)) == []


def test_what_is_gone_can_be_removed(spool: Spool) -> None:
    asyncio.run(spool.remove(NUMBER))
