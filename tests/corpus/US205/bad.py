"""Parsing or rendering a large document on the event loop."""

import asyncio
import xml.etree.ElementTree as ET

import extruct
import yaml
from bs4 import BeautifulSoup
from fastapi import BackgroundTasks, Depends, FastAPI
from jinja2 import Environment, Template
from lxml import etree
from recipe_scrapers import scrape_html
from starlette.types import ASGIApp, Receive, Scope, Send

app = FastAPI()

PAGE = Template("{{ value }}")


async def authorise() -> None:
    await asyncio.sleep(0)


@app.get("/direct")
async def direct(value: str = "") -> object:
    await authorise()
    return yaml.safe_load(value)  # expect: US205 loop


def helper(value: str) -> object:
    return ET.parse(value)  # expect: US205 loop


@app.get("/helper")
async def behind_a_helper(value: str = "") -> object:
    await authorise()
    return helper(value)


class Keeper:
    def __init__(self) -> None:
        self.inner = Template("{{ value }}")

    def load(self, value: str) -> object:
        return yaml.safe_load(value)  # expect: US205 loop


keeper = Keeper()


@app.get("/attribute")
async def on_an_attribute(value: str = "") -> object:
    await authorise()
    return keeper.load(value)


async def dependency(value: str = "") -> object:
    await authorise()
    return BeautifulSoup(value, "lxml").get_text()  # expect: US205 loop


@app.get("/dependency")
async def with_a_dependency(found: object = Depends(dependency)) -> object:
    await authorise()
    return found


class Middleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        value = scope["path"]
        etree.parse(value)  # expect: US205 loop
        await self.app(scope, receive, send)


app.add_middleware(Middleware)


async def task(value: str) -> None:
    await authorise()
    BeautifulSoup(value, "html.parser")  # expect: US205 loop


@app.post("/task")
async def with_a_task(tasks: BackgroundTasks, value: str = "") -> None:
    await authorise()
    tasks.add_task(task, value)


@app.get("/recipe")
async def recipe(page: str, address: str) -> object:
    await authorise()
    found = scrape_html(page, org_url=address)  # expect: US205 loop
    return found.title(), extruct.extract(page, base_url=address)  # expect: US205 loop


@app.get("/letter")
async def letter(text: str, name: str) -> str:
    await authorise()
    return Template(text).render(name=name)  # expect: US205 loop


@app.get("/line")
async def line(text: str, name: str) -> str:
    await authorise()
    return Environment(autoescape=True).from_string(text).render(name=name)  # expect: US205 loop
