"""Import makes exact what source read; what only source saw stays, and is said."""

from __future__ import annotations

from dataclasses import replace

from unstall.audit.imported import (
    Callee,
    Dependency,
    Handler,
    Imported,
    Middleware,
    Refusal,
    Route,
)
from unstall.audit.imported_merge import Merged, merge, of_app, said
from unstall.audit.ir import Entrance, Place, Step


def callee(function: str, kind: str = "async", line: int = 1) -> Callee:
    file = "app/main.py" if ":" in function else ""
    return Callee(function, kind, file, line)


def imported(*routes: Route, **more: object) -> Imported:
    return Imported("app.main:app", routes=routes, **more)  # type: ignore[arg-type]


def route(path: str = "/users/{id}", function: str = "app.main:get", **more: object) -> Route:
    return Route("route", ("GET",), path, callee(function), **more)  # type: ignore[arg-type]


def step(kind: str, function: str, place: Place = Place.LOOP, why: str = "as source says") -> Step:
    return Step(kind, function, place, why, "app/main.py", 7)


def entrance(
    name: str = "GET /users/{id}", function: str = "app.main:get", *steps: Step
) -> Entrance:
    steps = steps or (step("endpoint", function),)
    return Entrance("route", name, function, Place.LOOP, "app/main.py", 7, steps)


def functions(found: Entrance) -> list[tuple[str, str]]:
    return [(each.kind, each.function) for each in found.steps]


def test_what_agrees_stays_as_source_has_it() -> None:
    source = entrance()
    merged = merge([source], imported(route()))
    assert merged.entrances == (source,)
    assert merged.gaps == ()


def test_steps_that_only_import_saw_come_in_and_those_of_source_stand_around_them() -> None:
    source = entrance(
        "GET /users/{id}",
        "app.main:get",
        step("middleware", "app.main:Guessed.__call__"),
        step("endpoint", "app.main:get"),
        step("serialisation", "fastapi.serialize"),
        step("background task", "app.main:later"),
    )
    exact = route(
        middleware=(Middleware("app.main:Real", callee("app.main:Real.__call__")),),
        dependencies=(
            Dependency(
                callee("app.main:user"),
                dependencies=(Dependency(callee("app.main:get_db", "generator")),),
            ),
        ),
    )
    (found,) = merge([source], imported(exact)).entrances
    assert functions(found) == [
        ("middleware", "app.main:Real.__call__"),
        ("dependency", "app.main:get_db"),
        ("dependency", "app.main:user"),
        ("endpoint", "app.main:get"),
        ("serialisation", "fastapi.serialize"),
        ("background task", "app.main:later"),
    ]
    assert [each.depth for each in found.steps[1:3]] == [1, 0]
    assert found.steps[1].place is Place.THREAD_POOL


def test_what_only_source_knows_of_before_the_endpoint_runs_inside_the_middleware() -> None:
    source = entrance(
        "GET /users/{id}",
        "app.main:get",
        step("route class", "app.main:Logged.handle"),
        step("endpoint", "app.main:get"),
    )
    kept = Middleware("Timed", callee("app.main:Timed.__call__"))
    (found,) = merge([source], imported(route(middleware=(kept,)))).entrances[:1]
    assert [each.kind for each in found.steps] == ["middleware", "route class", "endpoint"]


def test_the_class_that_a_step_is_called_on_is_taken_from_import_where_that_knows_it() -> None:
    limit = "app.main:Limit.__call__"
    vague = replace(step("dependency", limit), receiver="app.main:Limit")
    source = entrance("GET /users/{id}", "app.main:get", vague, step("endpoint", "app.main:get"))
    told = replace(callee(limit), receiver="app.main:Strict")
    for call, known in (
        (told, ("app.main:Strict", True)),
        (callee(limit), ("app.main:Limit", False)),
    ):
        merged = merge([source], imported(route(dependencies=(Dependency(call),))))
        found = merged.entrances[0].steps[0]
        assert (found.receiver, found.exact) == known


def test_an_endpoint_is_entered_on_one_class_as_an_entrance_and_as_a_step() -> None:
    known = {"receiver": "app.main:View", "exact": True}
    own = replace(step("endpoint", "app.main:get"), **known)  # type: ignore[arg-type]
    source = replace(entrance("GET /users/{id}", "app.main:get", own), **known)  # type: ignore[arg-type]
    assert merge([source], imported(route())).entrances == (source,)


def test_one_method_that_two_classes_handle_errors_with_is_entered_on_both() -> None:
    handlers = tuple(
        Handler("KeyError", replace(callee("app.main:Base.fail"), receiver=f"app.main:{class_}"))
        for class_ in ("One", "Two")
    )
    found = merge([], imported(handlers=handlers)).entrances
    assert [each.receiver for each in found] == ["app.main:One", "app.main:Two"]


def test_where_a_step_runs_is_decided_by_import() -> None:
    exact = replace(route(), endpoint=callee("app.main:get", "sync"))
    (found,) = merge([entrance()], imported(exact)).entrances
    assert found.place is found.steps[0].place is Place.THREAD_POOL
    assert found.steps[0].why == "a plain def endpoint runs in the thread pool"


def test_a_dependency_that_is_cached_runs_once_and_one_that_is_not_runs_again() -> None:
    db = callee("app.main:get_db", "sync")
    exact = route(dependencies=(Dependency(db), Dependency(db), Dependency(db, use_cache=False)))
    (found,) = merge([], imported(exact)).entrances
    assert functions(found).count(("dependency", "app.main:get_db")) == 2


def test_a_prefix_that_source_could_not_know_is_taken_from_import() -> None:
    source = entrance("GET /{id}")
    merged = merge([source], imported(route("/v1/users/{id:int}")))
    assert [each.name for each in merged.entrances] == ["GET /v1/users/{id}"]
    assert merged.gaps == ()


def test_a_function_on_two_paths_is_not_guessed_at() -> None:
    source = entrance("GET /{id}")
    merged = merge([source], imported(route("/a"), route("/b")))
    assert {each.name for each in merged.entrances} == {"GET /{id}", "GET /a", "GET /b"}


def test_a_route_that_is_not_served_stays_and_is_said() -> None:
    source = entrance("GET /old", "app.main:old")
    merged = merge([source], imported(route()))
    assert source in merged.entrances
    assert merged.gaps == (
        "a route in source is not among those that app.main:app serves: GET /old",
    )


def test_what_stands_in_modules_that_the_app_does_not_import_is_another_apps_and_told() -> None:
    own, other = entrance(), replace(entrance("GET /other"), file="app/other.py")
    seen = imported(route(), modules={"app.main": "app/main.py"})
    found = of_app([own, other], seen)
    assert found.entrances == (own,)
    assert found.gaps == (
        "entrances in app/other.py were left out: app.main:app does not import them",
    )


def test_nothing_is_left_out_where_all_is_imported() -> None:
    seen = imported(route(), modules={"app.main": "app/main.py"})
    assert of_app([entrance()], seen) == Merged((entrance(),))


def test_the_inside_of_a_decorator_gives_way_to_the_decorated_function() -> None:
    exact = route(function="app.main:cached.<locals>.wrapper")
    (found,) = merge([entrance()], imported(exact), {"app.main:get"}).entrances
    assert found.function == found.steps[-1].function == "app.main:get"
    assert found.line == 7


def test_each_method_is_an_entrance_and_head_is_none_beside_get() -> None:
    exact = replace(route(), methods=("GET", "HEAD", "PUT"))
    assert [each.name for each in merge([], imported(exact)).entrances] == [
        "GET /users/{id}",
        "PUT /users/{id}",
    ]


def test_foreign_steps_are_matched_however_source_calls_them() -> None:
    source = entrance(
        "GET /users/{id}",
        "app.main:get",
        step("middleware", "fastapi.middleware.cors.CORSMiddleware.__call__"),
        step("endpoint", "app.main:get"),
    )
    cors = "starlette.middleware.cors.CORSMiddleware"
    exact = route(middleware=(Middleware(cors, callee(f"{cors}.__call__")),))
    assert merge([source], imported(exact)).entrances == (source,)


def test_handlers_of_others_are_no_entrances() -> None:
    merged = merge(
        [],
        imported(
            handlers=(
                Handler("ValueError", callee("app.main:bad", "sync")),
                Handler("KeyError", callee("library.bad")),
            )
        ),
    )
    assert [(each.name, each.place) for each in merged.entrances] == [("bad", Place.THREAD_POOL)]


def test_what_was_tried_is_said_by_kind_and_cut_when_it_is_long() -> None:
    def refused(kind: str, argument: str, line: int) -> Refusal:
        return Refusal(kind, "open", argument, "app/db.py", line, True)

    tried = [refused("write", f"log{n}", n) for n in range(7)] + [refused("network", "db 5432", 9)]
    assert [
        *said(imported(refusals=tuple(tried), unread=("/x (TypeError)",), unfenced=("a", "b")))
    ] == [
        "while it was imported, app.main:app asked for the network, and nothing of it was done: "
        "db 5432 in app/db.py:9",
        "while it was imported, app.main:app wrote, and nothing of it was done: "
        "log0 in app/db.py:0, log1 in app/db.py:1, log2 in app/db.py:2, log3 in app/db.py:3, "
        "log4 in app/db.py:4 and 2 more",
        "routes of app.main:app that could not be read: /x (TypeError)",
        "while app.main:app was imported, a",
        "while app.main:app was imported, b",
    ]
