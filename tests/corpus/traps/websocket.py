"""A WebSocket's function is on the loop, its helper too."""

import subprocess

from fastapi import FastAPI, WebSocket

app = FastAPI()


def convert(text: str) -> str:
    return subprocess.check_output(["tr", "a", "b"], input=text.encode(), timeout=2).decode()  # expect: US107 loop


@app.websocket("/ws")
async def socket(connection: WebSocket) -> None:
    await connection.accept()
    async for text in connection.iter_text():
        await connection.send_text(convert(text))
