"""Not only the first: whoever mends one wants to see the others."""

import asyncio
import shutil
import subprocess
import time

import requests
from fastapi import FastAPI

app = FastAPI()


def helper(name: str) -> str:
    time.sleep(0.1)  # expect: US101 loop
    text = requests.get("http://files.internal", timeout=2).text  # expect: US102 loop
    subprocess.run(["touch", name], timeout=1)  # expect: US107 loop
    shutil.rmtree(name)  # expect: US106 loop
    return text


@app.get("/")
async def read(name: str) -> str:
    await asyncio.sleep(0)
    return helper(name)
