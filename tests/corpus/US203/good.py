"""Decoding or rendering images, audio or documents on the event loop: what only looks like it."""

import asyncio
import io
import wave

import av
import numpy
import soundfile
from fastapi import FastAPI
from fpdf import FPDF
from PIL import Image

app = FastAPI()


@app.get("/endpoint")
def endpoint(value: str = "") -> object:
    # clean: a plain def runs in the thread pool
    return Image.open(value).resize((10, 10)).size


def helper(value: str) -> object:
    return Image.open(value).resize((10, 10)).size


@app.get("/offloaded")
async def offloaded(value: str = "") -> object:
    # clean: it runs in a thread
    return await asyncio.to_thread(helper, value)


@app.get("/twin")
async def twin(value: str = "") -> object:
    # clean: a picture of one pixel
    await asyncio.sleep(0)
    return Image.new('RGB', (1, 1)).size


@app.get("/label")
async def label(value: str = "") -> int:
    # clean: one cell of text
    await asyncio.sleep(0)
    pdf = FPDF()
    pdf.add_page()
    pdf.cell(0, 6, value)
    return pdf.page_no()


@app.post("/size")
async def size(body: bytes) -> object:
    # clean: the header of what is in memory already
    await asyncio.sleep(0)
    return Image.open(io.BytesIO(body)).size


@app.get("/numbers")
async def numbers(value: float) -> float:
    # clean: no picture is decoded
    await asyncio.sleep(0)
    return float(numpy.array([value]).sum())


class Writer:
    def __init__(self) -> None:
        self.target = io.BytesIO()
        # clean: nothing is written before the first packet
        self.container = av.open(self.target, mode="w", format="mp3")
        self.stream = self.container.add_stream("mp3", rate=24_000)

    def finish(self) -> bytes:
        # clean: an encoder that is only flushed, and packets that are encoded
        for packet in self.stream.encode(None):
            self.container.mux(packet)
        for packet in self.stream.encode():
            self.container.mux(packet)
        return self.target.getvalue()


@app.get("/silence")
async def silence() -> bytes:
    await asyncio.sleep(0)
    return Writer().finish()


@app.post("/samples")
async def samples(body: bytes) -> object:
    # clean: samples as they are, in memory
    await asyncio.sleep(0)
    found, rate = soundfile.read(io.BytesIO(body), format="RAW", channels=1, samplerate=16_000, subtype="PCM_16")
    return len(found), rate, wave.open(io.BytesIO(body)).getnframes()


def nightly(value: str) -> None:
    # clean: only the command line comes here
    print(helper(value))


def as_numbers(values):
    # clean: no picture comes here
    return numpy.asarray(values)


@app.get("/mean")
async def mean(value: float) -> float:
    await asyncio.sleep(0)
    return float(as_numbers([value]).mean())


if __name__ == "__main__":
    nightly("all")
