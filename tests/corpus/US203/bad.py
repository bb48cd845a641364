"""Decoding or rendering images, audio or documents on the event loop."""

import asyncio
from io import BytesIO

import av
import cv2
import numpy
import soundfile
import vision
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


@app.post("/thumbnail")
async def thumbnail(body: bytes) -> object:
    await authorise()
    image = Image.open(BytesIO(body))
    image.thumbnail((128, 128))  # expect: US203 loop
    return image.size


@app.post("/pixels")
async def pixels(body: bytes) -> object:
    await authorise()
    image = Image.open(BytesIO(body))
    return numpy.array(image).mean()  # expect: US203 loop


@app.post("/film")
async def film(body: bytes) -> object:
    await authorise()
    return av.open(BytesIO(body)).duration  # expect: US203 loop


class Writer:
    def __init__(self) -> None:
        self.container = av.open(BytesIO(), mode="w", format="mp3")
        self.stream = self.container.add_stream("mp3", rate=24_000)

    def write(self, *frames: av.AudioFrame) -> None:
        for packet in self.stream.encode(frames[0]):  # expect: US203 loop
            self.container.mux(packet)
        self.stream.encode(*frames)  # expect: US203 loop


@app.post("/speech")
async def speech(frame: av.AudioFrame) -> None:
    await authorise()
    Writer().write(frame)


def samples_of(file: object) -> object:
    return soundfile.read(file, format="RAW", channels=1, samplerate=16_000)  # expect: US203 loop


@app.post("/sound")
async def sound(body: bytes) -> object:
    await authorise()
    found, rate = soundfile.read(BytesIO(body))  # expect: US203 loop
    soundfile.write(BytesIO(), found, samplerate=rate, format="mp3")  # expect: US203 loop
    return samples_of(BytesIO(body))


def as_numbers(picture):
    return numpy.asarray(picture)  # expect: US203 loop


@app.post("/mean")
async def mean(body: bytes) -> float:
    await authorise()
    return float(as_numbers(Image.open(BytesIO(body))).mean())


@app.post("/judged")
async def judged(body: bytes) -> object:
    await authorise()
    return vision.judge(Image.open(BytesIO(body)))  # expect: US203 loop
