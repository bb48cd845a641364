"""Uploads on disk: streamed in, off the loop, and whole or not there at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

import anyio

from unstall import Lane

HOP_BYTES = 256 * 1024
"""Collected on the loop before a thread writes them: a hop costs more than a small write."""
DRAFT = ".part"


class TooLarge(ValueError):
    """The upload goes on beyond the limit."""


@dataclass(frozen=True, slots=True)
class Stored:
    size: int
    """In bytes."""
    sha256: str


class Spool:
    """A folder of uploads by import id, shared by the API and its workers.

    `lane` is where files are written: a slow disk fills it and nothing else.
    """

    def __init__(self, folder: Path, lane: Lane) -> None:
        self.folder = folder
        self._lane = lane

    def path(self, upload: UUID) -> Path:
        return self.folder / str(upload)

    async def store(self, upload: UUID, chunks: AsyncIterable[bytes], most: int) -> Stored:
        """On disk, synced, when this returns. Raises TooLarge beyond `most` bytes, and OSError."""
        draft = await self._lane.run(_Draft, self.path(upload))
        try:
            waiting, size = bytearray(), 0
            async for chunk in chunks:
                size += len(chunk)
                if size > most:
                    raise TooLarge(f"the upload has more than {most} bytes")
                waiting += chunk
                if len(waiting) >= HOP_BYTES:
                    await self._lane.run(draft.write, bytes(waiting))
                    waiting.clear()
            return await self._lane.run(draft.finish, bytes(waiting))
        except BaseException:
            # The client may be gone, and its half file must not stay.
            with anyio.CancelScope(shield=True):
                await self._lane.run(draft.abandon)
            raise

    async def remove(self, upload: UUID) -> None:
        await self._lane.run(_remove, self.path(upload))

    async def older_than(self, seconds: float) -> list[UUID]:
        """Uploads of that age; drafts of it are removed on the way."""
        return await self._lane.run(_old, self.folder, time.time() - seconds)


class _Draft:
    """A file that gets its name when it is complete. A caller that left may leave a thread in here."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._draft = path.with_name(path.name + DRAFT)
        self._lock = threading.Lock()
        self._digest = hashlib.sha256()
        self._size = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = self._draft.open("xb", buffering=0)

    def write(self, data: bytes) -> None:
        with self._lock:
            self._digest.update(data)
            self._size += len(data)
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]

    def finish(self, rest: bytes) -> Stored:
        self.write(rest)
        with self._lock:
            os.fsync(self._file.fileno())
            self._file.close()
            self._draft.replace(self._path)
            _sync_folder(self._path.parent)
        return Stored(self._size, self._digest.hexdigest())

    def abandon(self) -> None:
        with self._lock:
            self._file.close()
            for path in (self._draft, self._path):
                path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Without this the file may be safe and its name not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _old(folder: Path, before: float) -> list[UUID]:
    found = []
    for path in _files(folder):
        with contextlib.suppress(OSError):  # a sibling was faster
            if path.stat().st_mtime >= before:
                continue
            if path.suffix == DRAFT:
                path.unlink()
                continue
            with contextlib.suppress(ValueError):  # not ours: left alone
                found.append(UUID(path.name))
    return found


def _files(folder: Path) -> Iterable[Path]:
    return list(folder.iterdir()) if folder.is_dir() else ()
