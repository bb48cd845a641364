"""Handlers of exceptions: async on the loop, plain in a thread."""

import time

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

app = FastAPI()


@app.exception_handler(ValueError)
async def on_the_loop(request: Request, error: ValueError) -> JSONResponse:
    time.sleep(1)  # expect: US101 loop
    return JSONResponse({}, 400)


@app.exception_handler(KeyError)
def in_a_thread(request: Request, error: KeyError) -> JSONResponse:
    # clean: a thread
    time.sleep(1)
    return JSONResponse({}, 400)


@app.get("/")
async def read() -> None:
    raise ValueError
