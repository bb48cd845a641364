"""Background tasks that hold a thread for long."""

import subprocess

import requests
from fastapi import BackgroundTasks, FastAPI
from pypdf import PdfReader
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse

app = FastAPI()


def convert(name: str) -> None:
    subprocess.run(["ffmpeg", name], timeout=600)


@app.post("/subprocess")
async def of_a_subprocess(name: str, tasks: BackgroundTasks) -> None:
    tasks.add_task(convert, name)  # expect: US602 thread pool


def report(name: str) -> None:
    publish(name)


def publish(name: str) -> None:
    requests.post("http://reports.internal", data=name, timeout=60)


@app.post("/http")
def behind_a_helper(name: str, tasks: BackgroundTasks) -> None:
    tasks.add_task(report, name)  # expect: US602 thread pool


def read(name: str) -> None:
    print(len(PdfReader(name).pages[0].extract_text()))


@app.post("/computing")
async def computing(name: str) -> JSONResponse:
    return JSONResponse({}, background=BackgroundTask(read, name))  # expect: US602 thread pool
