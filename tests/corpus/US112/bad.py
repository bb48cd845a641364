"""Imports that the first request pays for."""

import asyncio
from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI

if TYPE_CHECKING:  # nothing is loaded by that
    import spacy

app = FastAPI()


async def authorise() -> None:
    await asyncio.sleep(0)


@app.get("/direct")
async def direct(value: str) -> object:
    await authorise()
    import polars  # expect: US112 loop

    return polars.Series([value]).len()


def helper(value: str) -> object:
    from nltk import edit_distance  # expect: US112 loop

    return edit_distance(value, "a")


@app.get("/helper")
async def behind_a_helper(value: str) -> object:
    await authorise()
    return helper(value)


class Model:
    def __init__(self) -> None:
        self.name = "m"

    def load(self) -> object:
        import spacy  # expect: US112 loop

        return spacy.__version__


model = Model()


@app.get("/attribute")
async def on_an_attribute() -> object:
    await authorise()
    return model.load()


async def dependency() -> object:
    await authorise()
    import matplotlib.pyplot  # expect: US112 loop

    return matplotlib.pyplot


@app.get("/dependency")
async def with_a_dependency(found: object = Depends(dependency)) -> str:
    await authorise()
    return str(found)


@app.get("/branch")
async def in_a_branch(draw: bool = False) -> str:
    await authorise()
    if draw:
        from plotly import graph_objects  # expect: US112 loop

        return str(graph_objects)
    return ""


@app.get("/nested")
async def in_a_try() -> str:
    await authorise()
    try:
        import networkx  # expect: US112 loop
    except ImportError:
        return ""
    return str(networkx)


@app.get("/namespace")
async def of_a_namespace() -> str:
    await authorise()
    from google import genai  # expect: US112 loop

    return str(genai)
