"""What blocks after the route has returned stays on the loop, `async` or not."""

import time

from fastapi import BackgroundTasks, FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()


@app.get("/streams")
async def streams() -> StreamingResponse:  # expect: US306 loop possible
    # clean: a plain def would leave the generator on the loop
    async def lines():
        time.sleep(1)  # expect: US101 loop
        yield b""

    return StreamingResponse(lines())


@app.get("/later")
async def later(tasks: BackgroundTasks) -> None:  # expect: US306 loop possible
    # clean: a plain def would leave the task on the loop
    async def job() -> None:
        time.sleep(2)  # expect: US101 loop

    tasks.add_task(job)


@app.get("/both")
async def both() -> StreamingResponse:  # expect: US306 loop possible
    time.sleep(3)  # expect: US101 loop

    # clean: a plain def would take one of the two off the loop
    async def lines():
        time.sleep(4)  # expect: US101 loop
        yield b""

    return StreamingResponse(lines())


@app.get("/before")
async def before() -> StreamingResponse:  # expect: US306 loop
    time.sleep(5)  # expect: US101 loop

    async def lines():
        yield b""

    return StreamingResponse(lines())
