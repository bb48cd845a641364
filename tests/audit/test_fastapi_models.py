"""What the models of a route do for it stands on the loop, whatever the endpoint is."""

from __future__ import annotations

import pytest

from tests.audit.reading import confidences
from unstall.model.finding import Confidence

GIVEN = """
import time
from fastapi.responses import JSONResponse
from pydantic import BaseModel, computed_field
class Given(BaseModel):
    @computed_field
    @property
    def label(self) -> str:
        time.sleep(1)
        return ""
    @property
    def other(self) -> str:
        time.sleep(2)
        return ""
class Page(BaseModel):
    rows: list[Given]
"""
LABEL = {"Given.label time.sleep": Confidence.CERTAIN}


@pytest.mark.parametrize(
    "route",
    [
        "@app.get('/')\ndef route() -> Given: return made()\n",
        "@app.get('/')\nasync def route() -> list[Given]: return made()\n",
        "@app.get('/')\nasync def route() -> Page | None: return made()\n",
        "@app.get('/', response_model=Page)\ndef route(): return made()\n",
        "@app.get('/', response_model=dict[str, Given])\ndef route() -> dict: return made()\n",
        "@app.get('/')\ndef route(): return Given()\n",
        "def route() -> Given: return made()\napp.add_api_route('/', route)\n",
    ],
)
def test_what_a_model_computes_for_the_answer_blocks_the_loop(route: str) -> None:
    assert confidences(GIVEN + route) == LABEL


@pytest.mark.parametrize(
    "route",
    [
        "@app.get('/')\ndef route() -> str: return made()\n",
        "@app.post('/')\ndef route(given: Given) -> str: return ''\n",
        "@app.get('/')\ndef route() -> Given: return JSONResponse(made())\n",
        "@app.get('/', response_model=None)\ndef route() -> Given: return made()\n",
        "@app.get('/', response_model=str)\ndef route() -> Given: return made()\n",
        "@app.get('/', response_model_exclude={'label'})\ndef route() -> Given: return made()\n",
        "@app.get('/')\ndef route(): return Given.count()\n",
    ],
)
def test_a_model_that_no_answer_is_made_of_computes_nothing(route: str) -> None:
    assert confidences(GIVEN + route) == {}
