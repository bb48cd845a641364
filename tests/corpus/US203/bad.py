"""Decoding or rendering images, audio or documents on the event loop."""

import asyncio
from io import BytesIO

import cv2
from fastapi import BackgroundTasks, Depends, FastAPI
from fpdf import FPDF
from PIL import Image
from pydub import AudioSegment
from pypdf import PdfReader
from starlette.types import ASGIApp, Receive, Scope, Send

app = FastAPI()

LOGO = Image.open("logo.png")


async def authorise() -> None:
    await asyncio.sleep(0)


@app.get("/direct")
async def direct(value: str = "") -> object:
    await authorise()
    image = Image.open(value)  # expect: US203 loop
    image.thumbnail((128, 128))  # expect: US203 loop
    return image.size


def helper(value: str) -> object:
    LOGO.convert("RGB").save(BytesIO(), format="PNG")  # expect: US203 loop
    return value


@app.get("/helper")
async def behind_a_helper(value: str = "") -> object:
    await authorise()
    return helper(value)


class Keeper:
    def __init__(self) -> None:
        self.inner = Image.open("large.png")

    def load(self, value: str) -> object:
        return self.inner.resize((100, 100))  # expect: US203 loop


keeper = Keeper()


@app.get("/attribute")
async def on_an_attribute(value: str = "") -> object:
    await authorise()
    return keeper.load(value)


async def dependency(value: str = "") -> object:
    await authorise()
    return cv2.imread(value)  # expect: US203 loop


@app.get("/dependency")
async def with_a_dependency(found: object = Depends(dependency)) -> object:
    await authorise()
    return found


class Middleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        value = scope["path"]
        AudioSegment.from_file(value)  # expect: US203 loop
        await self.app(scope, receive, send)


app.add_middleware(Middleware)


async def task(value: str) -> None:
    await authorise()
    print(PdfReader(value).pages[0].extract_text())  # expect: US203 loop


@app.post("/task")
async def with_a_task(tasks: BackgroundTasks, value: str = "") -> None:
    await authorise()
    tasks.add_task(task, value)


@app.get("/letter")
async def letter(text: str) -> bytes:
    await authorise()
    pdf = FPDF()
    pdf.add_page()
    pdf.multi_cell(0, 4, text)  # expect: US203 loop
    return bytes(pdf.output())  # expect: US203 loop
