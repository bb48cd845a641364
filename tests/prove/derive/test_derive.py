"""Requests derived from the OpenAPI documents of real FastAPI applications, and tried on them."""

from __future__ import annotations

import asyncio
import json
import struct
import zlib
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from fastapi import (
    Cookie,
    Depends,
    FastAPI,
    File,
    Form,
    Header,
    HTTPException,
    Path,
    Query,
    Response,
    UploadFile,
    WebSocket,
)
from fastapi.responses import PlainTextResponse, StreamingResponse
from fastapi.security import APIKeyHeader, HTTPBearer
from pydantic import BaseModel, Field, model_validator

from tests.support.serving import served
from unstall.errors import TargetError, UsageError
from unstall.prove.derive import Derived, Terms, derive
from unstall.prove.derive.encoding import _PIXEL

pytestmark = pytest.mark.live


def derived(app: FastAPI, routes: tuple[str, ...] = (), **terms: Any) -> Derived:
    with served(app, timeout_graceful_shutdown=1) as url:
        return asyncio.run(derive(url, terms=Terms(**terms), routes=routes))


def names(outcome: Derived) -> list[str]:
    return [scenario.name for scenario in outcome.scenarios]


def reasons(outcome: Derived) -> dict[str, str]:
    return {each.route: each.why for each in outcome.unexercised}


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Circle(BaseModel):
    kind: Literal["circle"]
    radius: Annotated[float, Field(gt=0, lt=10)]


class Box(BaseModel):
    kind: Literal["box"]
    sides: tuple[int, int]


class Tree(BaseModel):
    label: Annotated[str, Field(pattern=r"^[A-Z]{2}\d{3}$")]
    shape: Annotated[Circle | Box, Field(discriminator="kind")]
    price: Decimal
    when: datetime
    colours: Annotated[set[Colour], Field(min_length=1)]
    branches: list[Tree] = []
    parent: Tree | None = None
    tags: dict[str, int] = {}


def demanding() -> FastAPI:
    """Every kind of input that FastAPI knows, in one service that takes only what is valid."""
    app = FastAPI()

    @app.post("/trees")
    async def tree(body: Tree) -> str:
        return body.label

    @app.get("/find")
    async def find(
        q: Annotated[str, Query(min_length=3)],
        colour: Colour,
        since: datetime,
        ids: Annotated[list[int], Query()],
        x_tenant: Annotated[int, Header()],
        session: Annotated[str, Cookie()],
        limit: Annotated[int, Query(le=50)] = 20,
    ) -> int:
        return limit

    @app.get("/parts/{number}/{rest:path}")
    async def part(number: Annotated[int, Path(ge=100, multiple_of=25)], rest: str) -> int:
        return number

    @app.post("/login")
    async def login(
        user: Annotated[str, Form()], password: Annotated[str, Form(min_length=8)]
    ) -> str:
        return user

    @app.post("/photos")
    async def photo(
        photo: UploadFile, title: Annotated[str, Form()], more: list[UploadFile]
    ) -> str:
        assert (await photo.read()).startswith(b"\x89PNG")
        assert len(more) >= 1
        return title

    @app.post("/raw")
    async def raw(data: Annotated[bytes, File()]) -> int:
        return len(data)

    return app


def test_all_that_fastapi_can_ask_for_is_made_up() -> None:
    outcome = derived(demanding())
    assert reasons(outcome) == {}
    assert names(outcome) == [
        "POST /trees", "GET /find", "GET /parts/{number}/{rest}", "POST /login", "POST /photos",
        "POST /raw",
    ]  # fmt: skip
    assert outcome.notes == ()


def test_requests_vary_and_those_that_write_are_fresh() -> None:
    outcome = derived(demanding(), seed=3)
    trees, find, *_ = outcome.scenarios
    bodies = [json.loads(each.body) for each in trees.examples]
    assert len(bodies) >= 40
    assert {each["shape"]["kind"] for each in bodies} == {"circle", "box"}
    assert 3 <= len({each.path for each in find.examples}) == len(find.examples)
    assert outcome == derived(demanding(), seed=3), "the same seed asks the same"


class User(BaseModel):
    email: str


class Order(BaseModel):
    user_id: int
    sku: str


def shop() -> tuple[FastAPI, list[str]]:
    """Users with orders in memory; whoever asks for what does not exist is told so."""
    app = FastAPI()
    users: dict[int, dict[int, str]] = {}
    seen: list[str] = []

    def of(user_id: int) -> dict[int, str]:
        if user_id not in users:
            raise HTTPException(404, "no such user")
        return users[user_id]

    @app.post("/users", status_code=201)
    async def create(user: User) -> dict[str, Any]:
        users[len(users) + 500] = {}
        return {"id": len(users) + 499, "email": user.email}

    @app.get("/users/{user_id}")
    async def read(user_id: int) -> int:
        seen.append("read")
        return len(of(user_id))

    @app.delete("/users/{user_id}")
    async def remove(user_id: int) -> None:
        of(user_id).clear()
        del users[user_id]
        seen.append("removed")

    @app.post("/users/{user_id}/notes")
    async def note(user_id: int, text: str) -> dict[str, int]:
        notes = of(user_id)
        notes[len(notes) + 7] = text
        return {"note_id": len(notes) + 6}

    @app.get("/users/{user_id}/notes/{note_id}")
    async def notes(user_id: int, note_id: int) -> str:
        return of(user_id)[note_id]

    @app.post("/orders")
    async def order(order: Order) -> str:
        of(order.user_id)
        return order.sku

    @app.delete("/users")
    async def remove_all() -> None:
        seen.append("removed all")

    return app, seen


def test_what_was_created_is_asked_for() -> None:
    app, seen = shop()
    outcome = derived(app)
    assert set(names(outcome)) >= {
        "POST /users", "GET /users/{user_id}", "POST /users/{user_id}/notes",
        "GET /users/{user_id}/notes/{note_id}", "POST /orders",
    }  # fmt: skip
    by_name = {scenario.name: scenario for scenario in outcome.scenarios}
    assert {each.path for each in by_name["GET /users/{user_id}"].examples} >= {"/users/500"}
    assert by_name["GET /users/{user_id}/notes/{note_id}"].examples[0].path == "/users/500/notes/7"
    assert "read" in seen


def test_what_failed_for_want_of_an_id_is_tried_again_when_it_is_known() -> None:
    app = FastAPI()

    @app.post("/orders")
    async def create(order: Order) -> dict[str, str]:
        if order.user_id != 500:
            raise HTTPException(404, "no such user")
        return {"id": "o-1"}

    @app.get("/orders/{order_id}")
    async def read(order_id: str) -> None:
        if order_id != "o-1":
            raise HTTPException(404, "no such order")

    @app.post("/users")
    async def user(user: User) -> dict[str, int]:
        return {"id": 500}

    outcome = derived(app)
    assert outcome.notes == ()
    by_name = {scenario.name: scenario for scenario in outcome.scenarios}
    assert [each.path for each in by_name["GET /orders/{order_id}"].examples] == ["/orders/o-1"]


def test_nothing_is_removed_that_others_ask_for() -> None:
    app, seen = shop()
    outcome = derived(app)
    assert "removed" not in seen
    assert "removed all" not in seen
    assert reasons(outcome) == {
        "DELETE /users": "it may remove what the other requests ask for: put it into a plan"
    }
    (note,) = (each for each in outcome.notes if each.startswith("DELETE"))
    assert "asked for what does not exist and answered 404: no such user" in note


def test_a_value_that_was_given_is_asked_for_and_never_removed() -> None:
    app, seen = shop()
    outcome = derived(app, values={"user_id": ["500"], "text": ["hello"]})
    by_name = {scenario.name: scenario for scenario in outcome.scenarios}
    assert [each.path for each in by_name["GET /users/{user_id}"].examples] == ["/users/500"]
    notes = [each.path for each in by_name["POST /users/{user_id}/notes"].examples]
    assert notes == ["/users/500/notes?text=hello"]
    assert "removed" not in seen


def test_a_value_that_nobody_takes_is_refused_with_the_near_name() -> None:
    app, _ = shop()
    with pytest.raises(UsageError, match=r"--value gives usr_id, .*: did you mean user_id\?"):
        derived(app, values={"usr_id": ["1"]})


def test_an_app_that_may_not_be_changed_is_only_read() -> None:
    app, seen = shop()
    outcome = derived(app, writes=False)
    assert all(scenario.method == "GET" for scenario in outcome.scenarios)
    told = reasons(outcome)
    assert told["POST /users"] == "it may change something, and this run only reads"
    assert told["DELETE /users/{user_id}"] == told["POST /users"]
    assert "removed" not in seen


def test_a_list_tells_what_can_be_asked_for_without_writing() -> None:
    app = FastAPI()

    @app.get("/books")
    async def books() -> dict[str, Any]:
        return {"total": 2, "items": [{"id": "b-1"}, {"id": "b-2"}]}

    @app.get("/books/{book_id}")
    async def book(book_id: Literal["b-1", "b-2"]) -> str:
        return book_id

    @app.get("/authors/{author_id}")
    async def author(author_id: str) -> str:
        if not author_id.startswith("b-"):
            raise HTTPException(404, "nobody")
        return author_id

    outcome = derived(app, writes=False)
    by_name = {scenario.name: scenario for scenario in outcome.scenarios}
    assert {each.path for each in by_name["GET /books/{book_id}"].examples} == {
        "/books/b-1", "/books/b-2",
    }  # fmt: skip
    assert outcome.notes == (
        "GET /authors/{author_id}: its handler was reached and answered 404: nobody",
    )


BEARER, KEY = HTTPBearer(), APIKeyHeader(name="X-Key")


def guarded() -> FastAPI:
    app = FastAPI()

    @app.get("/mine")
    async def mine(token: Annotated[Any, Depends(BEARER)]) -> str:
        if token.credentials != "letmein":
            raise HTTPException(403, "wrong token")
        return "yours"

    @app.get("/keyed")
    async def keyed(key: Annotated[str, Depends(KEY)]) -> str:
        return "yours"

    return app


def test_a_route_behind_a_login_says_which_header_it_needs() -> None:
    assert reasons(derived(guarded())) == {
        "GET /mine": "needs a header Authorization: give --header 'Authorization: …'",
        "GET /keyed": "needs a header X-Key: give --header 'X-Key: …'",
    }


def test_with_the_header_it_is_exercised_and_with_a_wrong_one_the_answer_is_told() -> None:
    right = derived(guarded(), headers={"Authorization": "Bearer letmein", "X-Key": "k"})
    assert names(right) == ["GET /mine", "GET /keyed"]
    assert right.scenarios[0].examples[0].headers["Authorization"] == "Bearer letmein"
    wrong = derived(guarded(), headers={"Authorization": "Bearer no", "X-Key": "k"})
    assert reasons(wrong) == {"GET /mine": "answered 403: wrong token"}


class Picky(BaseModel):
    code: str

    @model_validator(mode="after")
    def secret(self) -> Picky:
        raise ValueError("no code is good enough")


def hostile() -> FastAPI:
    app = FastAPI()

    @app.post("/picky")
    async def picky(body: Picky) -> None: ...

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("boom")

    @app.get("/endless")
    async def endless() -> StreamingResponse:
        async def lines() -> Any:
            while True:
                yield b"tick\n"
                await asyncio.sleep(0.02)

        return StreamingResponse(lines())

    @app.get("/stuck")
    async def stuck() -> None:
        await asyncio.sleep(60)

    @app.get("/hidden", include_in_schema=False)
    async def hidden() -> None: ...

    @app.websocket("/live")
    async def live(socket: WebSocket) -> None: ...

    @app.get("/plain", response_class=PlainTextResponse)
    async def plain() -> str:
        return "fine"

    return app


def test_every_route_that_was_not_reached_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unstall.prove.derive._PATIENCE_S", 0.3)
    routes = ("GET /plain", "GET /hidden", "WEBSOCKET /live", "GET /broken")
    outcome = derived(hostile(), routes)
    assert names(outcome) == ["GET /plain"]
    assert reasons(outcome) == {
        "POST /picky": "answered 422: body: Value error, no code is good enough",
        "GET /broken": "answered 500: Internal Server Error",
        "GET /endless": "its answer did not end within 0.3 s (a stream?)",
        "GET /stuck": "did not answer within 0.3 s",
        "GET /hidden": "not in the app's OpenAPI document: include_in_schema=False, a plain Starlette "
        "route, or of another app that is mounted",
        "WEBSOCKET /live": "a WebSocket, which no HTTP request reaches",
    }


def test_a_route_that_fails_is_left_alone_soon() -> None:
    app, asked = FastAPI(), []

    @app.post("/broken")
    async def broken(body: User, more: str = "x") -> None:
        asked.append(more)
        raise HTTPException(500)

    assert names(derived(app)) == []
    assert len(asked) == 4, "twice with what is required, twice with all"


def test_what_is_to_be_skipped_is_not_asked() -> None:
    app, asked = FastAPI(), []

    @app.post("/admin/stop")
    async def stop() -> None:
        asked.append("stop")

    @app.get("/admin/stop")
    async def stop_by_get() -> None:
        asked.append("stop")

    @app.get("/fine")
    async def fine() -> None: ...

    outcome = derived(app, skip=("* /admin/*",))
    assert names(outcome) == ["GET /fine"]
    assert reasons(outcome)["POST /admin/stop"] == "left alone, as --skip '* /admin/*' asks"
    assert asked == []


def test_the_rate_is_shared_equally() -> None:
    with served(demanding()) as url:
        outcome = asyncio.run(derive(url, rate=30, seconds=4))
    assert [scenario.stages[0].rate for scenario in outcome.scenarios] == [5.0] * 6
    assert {scenario.stages[0].seconds for scenario in outcome.scenarios} == {4}


def test_an_app_of_two_hundred_routes_is_tried_and_patience_ends() -> None:
    app = FastAPI()
    for number in range(200):
        app.add_api_route(f"/r{number}", lambda: "ok", methods=["GET"], operation_id=f"r{number}")
    assert len(derived(app).scenarios) == 200
    hurried = derived(app, patience=0.0)
    assert hurried.scenarios == ()
    assert reasons(hurried)["GET /r7"] == "not tried: the 0 s for trying were over"


def test_an_app_without_a_document_is_told_in_a_sentence() -> None:
    with pytest.raises(
        TargetError, match=r"openapi.json answered 404, and the document is at none"
    ):
        derived(FastAPI(openapi_url=None))


@pytest.mark.parametrize("place", ["/api", "/secret/place.json"])
def test_a_document_elsewhere_is_found_at_a_usual_place_or_by_the_page_that_shows_it(
    place: str,
) -> None:
    app = FastAPI(openapi_url=place)

    @app.get("/fine")
    async def fine() -> None: ...

    assert names(derived(app)) == ["GET /fine"]


@pytest.mark.parametrize(
    ("place", "servers"), [("/api", None), ("/inner", [{"url": "https://example.com/inner/"}])]
)
def test_an_app_below_a_prefix_that_its_document_does_not_say_is_found(
    place: str, servers: Any
) -> None:
    inner, outer = FastAPI(), FastAPI(openapi_url=None)

    @inner.get("/fine")
    async def fine() -> None: ...

    outer.mount(place, inner)
    document = inner.openapi() | ({"servers": servers} if servers else {})
    with served(outer) as url:
        outcome = asyncio.run(derive(url, document, routes=[f"GET {place}/fine"]))
    assert names(outcome) == [f"GET {place}/fine"]
    assert outcome.scenarios[0].examples[0].path == f"{place}/fine"
    assert reasons(outcome) == {}


@pytest.fixture
def mumbling() -> Iterator[str]:
    app = FastAPI(openapi_url=None)

    @app.get("/openapi.json")
    async def document() -> Response:
        return Response("<html>")

    with served(app) as url:
        yield url


def test_a_document_that_is_no_json_is_told_in_a_sentence(mumbling: str) -> None:
    with pytest.raises(TargetError, match="something that is no OpenAPI document"):
        asyncio.run(derive(mumbling))


def test_an_app_that_is_not_there_is_told_in_a_sentence() -> None:
    with pytest.raises(TargetError, match="nobody accepts connections at http"):
        asyncio.run(derive("http://127.0.0.1:9"))


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "nonsense", "http://"])
def test_a_url_that_cannot_be_asked_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="cannot be asked"):
        asyncio.run(derive(url))


def test_a_document_whose_half_is_broken_gives_the_other_half() -> None:
    app = FastAPI()

    @app.get("/fine")
    async def fine() -> None: ...

    document = app.openapi()
    document["paths"]["/odd"] = {"get": {"parameters": [{"$ref": "#/nowhere"}]}}
    with served(app) as url:
        outcome = asyncio.run(derive(url, document))
    assert names(outcome) == ["GET /fine"]
    assert reasons(outcome) == {
        "GET /odd": "its part of the OpenAPI document cannot be read: it refers to #/nowhere, which is "
        "not in the document"
    }


def test_the_picture_that_is_uploaded_is_whole() -> None:
    at, kinds = 8, []
    while at < len(_PIXEL):
        (length,) = struct.unpack(">I", _PIXEL[at : at + 4])
        chunk = _PIXEL[at + 4 : at + 8 + length]
        (sum_,) = struct.unpack(">I", _PIXEL[at + 8 + length : at + 12 + length])
        assert zlib.crc32(chunk) == sum_
        kinds.append(chunk[:4])
        at += 12 + length
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]
