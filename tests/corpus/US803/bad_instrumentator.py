"""The same, by a library."""

from fastapi import FastAPI
from prometheus_fastapi_instrumentator import Instrumentator

app = FastAPI()
Instrumentator().instrument(app).expose(app)  # expect: US803 loop


@app.get("/")
async def read() -> str:
    return "ok"
