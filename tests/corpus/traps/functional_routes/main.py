"""Routes without a decorator on the function."""

from fastapi import APIRouter, FastAPI

from . import handlers

app = FastAPI()
router = APIRouter(prefix="/api")
router.get("/applied")(handlers.applied)
router.add_api_route("/added", handlers.added, methods=["GET"])
app.include_router(router)
app.add_api_route("/plain", handlers.plain)
app.add_websocket_route("/socket", handlers.socket)
