"""Computing in threads that take turns with the loop."""

import asyncio

import pandas as pd
import yaml
from fastapi import Depends, FastAPI
from pypdf import PdfReader

app = FastAPI()


@app.get("/endpoint")
def endpoint(name: str) -> str:
    return pd.read_csv(name).to_json()  # expect: US303 thread pool possible


def dependency(name: str) -> object:
    return yaml.safe_load(name)  # expect: US303 thread pool possible


@app.get("/dependency")
async def with_a_dependency(found: object = Depends(dependency)) -> str:
    return str(found)


def text_of(name: str) -> str:
    return PdfReader(name).pages[0].extract_text()  # expect: US303 executor possible


@app.get("/offloaded")
async def offloaded(name: str) -> str:
    return await asyncio.to_thread(text_of, name)
