"""Running something on a loop inside a trap."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unstall.model.finding import Finding
from unstall.traps.trap import Trap, trap

ROOT = Path(__file__).resolve().parents[2]


def made(**options: Any) -> Trap:
    """A trap that goes by names alone, with this repository as its root."""
    return trap(**{"threshold_ms": 0, "root": ROOT, **options})


def trapped(work: Callable[[], Any], **options: Any) -> tuple[Finding, ...]:
    """What a trap finds while `work` runs in a task, function or coroutine function alike."""

    async def main() -> None:
        done = work()
        if inspect.isawaitable(done):
            await done

    with made(**options) as caught:
        asyncio.run(main())
    return caught.findings


def codes(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.code for finding in findings]
