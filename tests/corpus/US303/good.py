"""Computing where it belongs."""

import asyncio
import gzip
from concurrent.futures import ProcessPoolExecutor

import bcrypt
import pandas as pd
from fastapi import FastAPI

app = FastAPI()
pool = ProcessPoolExecutor(2)


@app.get("/login")
def login(word: str) -> bool:
    # clean: hashing lets go of the interpreter lock
    return bcrypt.checkpw(word.encode(), b"$2b$12$")


@app.get("/export")
def export(text: str) -> bytes:
    # clean: so does compression
    return gzip.compress(text.encode())


def table(name: str) -> str:
    return pd.read_csv(name).to_json()


@app.get("/process")
async def process(name: str) -> str:
    # clean: a process of its own
    return await asyncio.get_running_loop().run_in_executor(pool, table, name)
