"""A program without a framework that blocks its loop once, and ends with 5."""

from __future__ import annotations

import asyncio
import sys
import time


async def main() -> None:
    await asyncio.sleep(0.2)
    time.sleep(0.5)  # BLOCKS
    await asyncio.sleep(0.1)


asyncio.run(main())
sys.exit(5)
