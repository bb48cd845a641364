"""A process that sends its share: `python -m unstall.load.worker`, told by `workers`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from unstall.errors import UnstallError
from unstall.load.engine import Generator
from unstall.load.loops import run_on_best
from unstall.load.pacing import quiet_gc
from unstall.load.scenarios import streams_of
from unstall.load.workers import job_of
from unstall.model.outcome import Progress


def main() -> None:
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a flow prints is not for whom we report to
    try:
        with quiet_gc():
            run_on_best(_work(told))
    except UnstallError as error:
        _tell(told, {"usage": str(error)})


async def _work(told: TextIO) -> None:
    lines: asyncio.Queue[Any] = asyncio.Queue()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    threading.Thread(target=_listen, args=(loop, lines, stop), daemon=True).start()
    job = job_of(await lines.get())
    streams = streams_of(job.scenarios, job.seed)
    async with Generator(
        job.base_url, streams, job.limits,
        share=job.share, client=job.client, folder=Path(job.folder),
    ) as generator:  # fmt: skip
        _tell(told, {"ready": True})
        order = await lines.get()

        def progress(glance: Progress) -> None:
            _tell(told, {"progress": asdict(glance)})

        await generator.run(
            order["from_ns"], stop=stop, progress=progress, progress_s=order["progress_s"]
        )
        _tell(told, {"outcome": generator.outcome().to_json()})


def _listen(
    loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[Any], stop: asyncio.Event
) -> None:
    for line in sys.stdin:
        heard = json.loads(line)
        if heard == "stop":
            loop.call_soon_threadsafe(stop.set)
        else:
            loop.call_soon_threadsafe(lines.put_nowait, heard)
    os._exit(1)  # who ordered it is gone


def _tell(told: TextIO, what: dict[str, Any]) -> None:
    told.write(json.dumps(what) + "\n")
    told.flush()


if __name__ == "__main__":
    main()
