"""Templates as frameworks write them."""

from __future__ import annotations

import pytest

from tests.guard.asgi import scope_of
from unstall.errors import UsageError
from unstall.guard.arrivals import waited_ns
from unstall.guard.routes import Routes

TABLE = {
    "/orders": "any",
    "POST /orders": "create",
    "GET /orders/{id}": "one",
    "/orders/latest": "latest",
    "/files/{path:path}": "file",
    "/items/{number:int}": "item",
    "/users/{id:uuid}/x": "user",
}


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        ("GET /orders", "any"),
        ("POST /orders", "create"),
        ("GET /orders/7", "one"),
        ("GET /orders/latest", "latest"),
        ("POST /orders/7", None),
        ("GET /orders/7/lines", None),
        ("GET /files/a/b.txt", "file"),
        ("GET /items/12", "item"),
        ("GET /items/x", None),
        ("GET /users/8d7f2f9e-3b1c-4a58-9f3e-0c1d2e3f4a5b/x", "user"),
        ("GET /orders.", None),
    ],
)
def test_a_request_finds_its_route(request_: str, found: str | None) -> None:
    routes = Routes(TABLE)
    seen = routes.find(scope_of(request_))
    assert (seen.value if seen else None) == found


def test_what_an_app_is_mounted_under_does_not_count() -> None:
    routes = Routes(TABLE)
    for path, found in (("/api/orders", "any"), ("/apiorders", None), ("/orders", "any")):
        seen = routes.find(scope_of(f"GET {path}", root_path="/api"))
        assert (seen.value if seen else None) == found


@pytest.mark.parametrize(
    "route", ["orders", "GET", "GET orders", "/{id", "/{id:color}", "/a}{b", "1 /a"]
)
def test_what_is_no_route_is_refused(route: str) -> None:
    with pytest.raises(UsageError):
        Routes({route: 1})


@pytest.mark.parametrize(
    ("text", "waited_s"),
    [
        ("t=1763719200.250", 1.0),
        ("1763719200250", 1.0),
        ("1763719200250000", 1.0),
        ("1763719200250000000", 1.0),
        ("t=1763719202", None),
        ("12", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_the_start_at_a_proxy_is_read_in_any_unit(text: str, waited_s: float | None) -> None:
    found = waited_ns(text, 1763719201.25)
    assert found is None if waited_s is None else found == pytest.approx(waited_s * 1e9, abs=1e3)
