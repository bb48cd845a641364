import asyncio
import time

from starlette.websockets import WebSocket


async def applied() -> None:
    await asyncio.sleep(0)
    time.sleep(1)  # expect: US101 loop


async def added() -> None:
    await asyncio.sleep(0)
    time.sleep(2)  # expect: US101 loop


def plain() -> None:
    # clean: a thread
    time.sleep(3)


async def socket(connection: WebSocket) -> None:
    await connection.accept()
    time.sleep(4)  # expect: US101 loop
