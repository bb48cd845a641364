"""Metrics that freeze with what they measure."""

import prometheus_client
from fastapi import FastAPI, Response

app = FastAPI()
app.mount("/prometheus", prometheus_client.make_asgi_app())  # expect: US803 loop


@app.get("/metrics")
async def metrics() -> Response:  # expect: US803 loop
    return Response(prometheus_client.generate_latest())
