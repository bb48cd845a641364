"""From tables to a plan: every key is known, every value fits, or one sentence says what does not."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unstall.errors import UsageError
from unstall.model.plan import (
    AppPlan,
    Arrivals,
    Fault,
    Per,
    Plan,
    Scenario,
    Stage,
    Threshold,
    WitnessPlan,
)
from unstall.model.proof import HEALTHY
from unstall.plans import values
from unstall.plans.values import Reader

OTHERS = ("audit", "catalog", "lanes", "trap")
"""What shared files hold beside a plan."""

_REQUEST = re.compile(r"([A-Z]+) (/\S*)")
_HOLDS = re.compile(r"(<=|>=|==|<|>)\s*(-?\d+(?:\.\d+)?)")


def plan_of(tables: Mapping[str, Any], file: Path, *, shared: bool = False) -> Plan:
    """`shared`: the file holds settings as well. Raises UsageError."""
    own = {key: value for key, value in tables.items() if not (shared and key in OTHERS)}
    given = values.table(own, str(file), _PLAN)
    folder = file.parent
    app = AppPlan(**given.pop("app", {}))
    witness = {"path": app.ready} | given.pop("witness", {})
    scenarios = tuple(_scenario(each, file, folder) for each in given.pop("scenario", []))
    faults = tuple(_fault(each, file) for each in given.pop("fault", []))
    _check_names([each.name for each in scenarios], "scenarios", file)
    titles = [each.title for each in faults]
    _check_names(titles, "faults", file)
    if HEALTHY in titles:
        raise UsageError(
            f"a fault in {file} has the name {HEALTHY!r}, as the phase without one: give it another"
        )
    thresholds = _thresholds(given.pop("thresholds", {}), file)
    return Plan(
        **given,
        app=app,
        witness=WitnessPlan(**witness),
        scenarios=scenarios,
        faults=faults,
        thresholds=thresholds,
        file=str(file),
    )


def _scenario(tables: Mapping[str, Any], file: Path, folder: Path) -> Scenario:
    where = _named("scenario", tables, file)
    given = values.table(tables, where, _SCENARIO)
    if "name" not in given:
        raise UsageError(f"{where} has no name: give it one")
    if "request" in given:
        _exclude(given, ("request", "method", "path", "call"), where)
        given["method"], given["path"] = given.pop("request")
    elif "call" in given:
        _exclude(given, ("call", "method", "path", "body", "text", "json"), where)
    elif "path" not in given:
        raise UsageError(
            f'{where} sends nothing: give it a request, as in "GET /orders", or a call'
        )
    given["stages"] = _stages(given, where)
    given |= _body(given, where, folder)
    return Scenario(**given)


def _stages(given: dict[str, Any], where: str) -> tuple[Stage, ...]:
    _exclude(given, ("stages", "rate"), where)
    if "stages" in given:
        stages: tuple[Stage, ...] = given.pop("stages")
        return stages
    if ("rate" in given) != ("seconds" in given):
        raise UsageError(f"{where} has a rate or seconds alone: give both, or stages")
    return (Stage(given.pop("rate"), given.pop("seconds")),) if "rate" in given else ()


def _body(given: dict[str, Any], where: str, folder: Path) -> dict[str, Any]:
    """The body, and the header that says what it is."""
    _exclude(given, ("body", "text", "json"), where)
    headers = given.get("headers", {})
    known = {name.lower() for name in headers}
    if "text" in given:
        return {"body": given.pop("text")}
    if "json" in given:
        kind = {} if "content-type" in known else {"Content-Type": "application/json"}
        try:
            body = json.dumps(given.pop("json"), ensure_ascii=False)
        except TypeError as error:  # TOML has dates
            raise UsageError(f"json of {where} is none ({error}): write it as a text") from None
        return {"body": body, "headers": kind | headers}
    if "body" not in given:
        return {}
    file = folder / given["body"]
    try:
        body = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UsageError(
            f"body of {where} names {file}, which cannot be read ({why}): "
            "name a file beside the plan, or write the body as text or json"
        ) from None
    kind = {"Content-Type": "application/json"} if file.suffix == ".json" else {}
    return {"body": body, "headers": ({} if "content-type" in known else kind) | headers}


def _fault(tables: Mapping[str, Any], file: Path) -> Fault:
    where = _named("fault", tables, file)
    given = values.table(tables, where, _FAULT)
    for key in ("upstream", "kind"):
        if key not in given:
            raise UsageError(f"{where} has no {key}: give it one")
    fault = Fault(**given)
    if fault.until is not None and fault.until <= fault.after:
        raise UsageError(f"until of {where} is {fault.until:g}, not after its begin: give more")
    return fault


def _thresholds(given: Mapping[str, Any], file: Path) -> tuple[Threshold, ...]:
    found: list[Threshold] = []
    for key, value in given.items():
        inner = value.items() if isinstance(value, Mapping) else [(key, value)]
        phase = key if isinstance(value, Mapping) else ""
        for metric, texts in inner:
            each = texts if isinstance(texts, list) else [texts]
            found += [_threshold(metric, text, phase, file) for text in each]
    return tuple(found)


def _threshold(metric: str, text: object, phase: str, file: Path) -> Threshold:
    holds = _HOLDS.fullmatch(text.strip()) if isinstance(text, str) else None
    if holds is None:
        raise UsageError(
            f"threshold {metric!r} in {file} is {text!r:.60}: write a comparison and a number, "
            'as in "< 150"'
        )
    return Threshold(metric, holds[1], float(holds[2]), phase)


def _request(value: object, where: str) -> tuple[str, str]:
    request = _REQUEST.fullmatch(value) if isinstance(value, str) else None
    if request is None:
        raise UsageError(
            f'{where} is {value!r:.60}: write a method and a path, as in "GET /orders"'
        )
    return request[1], request[2]


def _stage_list(value: object, where: str) -> tuple[Stage, ...]:
    stages = []
    for each in value if isinstance(value, list) and value else [None]:
        if not isinstance(each, Mapping) or set(each) != {"rate", "seconds"}:
            raise UsageError(
                f"{where} is {value!r:.60}: give a list, as in [{{ rate = 50, seconds = 10 }}]"
            )
        stages.append(
            Stage(
                values.number(each["rate"], f"rate in {where}"),
                values.positive(each["seconds"], f"seconds in {where}"),
            )
        )
    return tuple(stages)


def _stream(value: object, where: str) -> str:
    if value in ("downstream", "upstream"):
        return str(value)
    raise UsageError(f"{where} is {value!r:.60}: give downstream or upstream")


def _named(kind: str, tables: Mapping[str, Any], file: Path) -> str:
    """As a message calls it."""
    name = tables.get("name")
    return f"{kind} {name!r} in {file}" if isinstance(name, str) else f"a {kind} in {file}"


def _exclude(given: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    """The first of the keys does not go with the others, nor these with each other."""
    there = [key for key in keys if key in given]
    if len(there) > 1:
        raise UsageError(f"{where} has {there[0]} and {there[1]}: give one of them")


def _check_names(names: list[str], what: str, file: Path) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UsageError(f"two {what} in {file} have the name {twice[0]!r}; give each its own")


_APP: Mapping[str, Reader] = {
    "command": values.filled,
    "url": values.url,
    "ready": values.path,
    "env": values.variables,
    "folder": values.filled,
    "patience": values.positive,
}
_WITNESS: Mapping[str, Reader] = {"path": values.path, "rate": values.number}
_SCENARIO: Mapping[str, Reader] = {
    "name": values.filled,
    "request": _request,
    "method": values.filled,
    "path": values.path,
    "headers": values.assigned,
    "body": values.filled,
    "text": values.text,
    "json": values.anything,
    "call": values.filled,
    "rate": values.number,
    "seconds": values.positive,
    "stages": _stage_list,
    "arrivals": values.word_of(Arrivals),
    "timeout": values.positive,
}
_FAULT: Mapping[str, Reader] = {
    "upstream": values.filled,
    "kind": values.filled,
    "name": values.filled,
    "seconds": values.number,
    "attributes": values.numbers,
    "probability": values.share,
    "per": values.word_of(Per),
    "stream": _stream,
    "bad": values.whole,
    "after": values.number,
    "until": values.positive,
}
_PLAN: Mapping[str, Reader] = {
    "name": values.filled,
    "app": lambda value, where: values.table(value, where, _APP),
    "witness": lambda value, where: values.table(value, where, _WITNESS),
    "scenario": values.tables,
    "fault": values.tables,
    "thresholds": values.mapping,
    "upstreams": values.texts,
    "seed": values.whole,
    "repeat": values.counting,
    "in_flight": values.counting,
}
