"""Decoding or rendering images, audio or documents on the event loop: what only looks like it."""

import asyncio

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


def nightly(value: str) -> None:
    # clean: only the command line comes here
    print(helper(value))


if __name__ == "__main__":
    nightly("all")
