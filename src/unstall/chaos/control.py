"""toxiproxy's HTTP interface, so that its clients and its command line work with these proxies.

The same paths, fields, units and status codes. A toxic may also carry `per`, which here as there is the
connection unless told, `bad`, `after` and `until`; a proxy also tells its `counts`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from unstall.chaos.addresses import Address, address_of, bound
from unstall.chaos.kinds import KINDS, spec_of
from unstall.chaos.served import Asked, Refused, Told, listening
from unstall.errors import UsageError
from unstall.model.plan import Fault, Per
from unstall.version import VERSION

if TYPE_CHECKING:
    from unstall.chaos.applied import Applied
    from unstall.chaos.board import Board
    from unstall.chaos.relay import Relay

SPOKEN = "2.12.0"
"""The toxiproxy whose interface this is."""
_IN_PATH = re.compile(r"(?!\.\.?$)[^/?#%]+")
_LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})


async def served(board: Board, address: Address, *, remote: bool) -> tuple[asyncio.Server, Address]:
    """Raises UsageError."""
    sock = bound(address, "control")
    at = Address(address.host, address_of(sock).port)
    return await listening(Control(board, at, remote=remote), sock), at


class Control:
    """Answers on the proxies' own loop."""

    def __init__(self, board: Board, at: Address, *, remote: bool) -> None:
        self._board = board
        self._names = None if remote else {*_LOCAL_NAMES, str(at).rpartition(":")[0].lower()}

    async def __call__(self, asked: Asked) -> Told:
        self._check_caller(asked.fields)
        path = [unquote(part) for part in asked.path.strip("/").split("/")]
        body = asked.body
        match asked.method, path:
            case "GET", ["version"]:
                return Told(200, {"version": SPOKEN, "unstall": VERSION})
            case "GET", ["proxies"]:
                return Told(200, {name: shown(each) for name, each in self._board.relays.items()})
            case "POST", ["proxies"]:
                return Told(201, shown(await self._create(_object(body))))
            case "POST", ["populate"]:
                return await self._populate(body)
            case "POST", ["reset"]:
                await self._reset()
                return Told(204)
            case "GET", ["proxies", name]:
                return Told(200, shown(self._relay(name)))
            case "POST" | "PATCH", ["proxies", name]:
                return Told(200, shown(await self._update(self._relay(name), _object(body))))
            case "DELETE", ["proxies", name]:
                await self._board.discard(self._relay(name).name)
                return Told(204)
            case "GET", ["proxies", name, "toxics"]:
                return Told(200, shown(self._relay(name))["toxics"])
            case "POST", ["proxies", name, "toxics"]:
                return Told(200, await self._add(self._relay(name), _object(body)))
            case "GET", ["proxies", name, "toxics", toxic]:
                return Told(200, toxic_shown(_toxic(self._relay(name), toxic)))
            case "POST" | "PATCH", ["proxies", name, "toxics", toxic]:
                relay = self._relay(name)
                return Told(200, await self._change(relay, _toxic(relay, toxic), _object(body)))
            case "DELETE", ["proxies", name, "toxics", toxic]:
                relay = self._relay(name)
                await relay.remove(_toxic(relay, toxic))
                return Told(204)
        raise Refused(404, f"there is no {asked.method} {asked.path}")

    def _check_caller(self, fields: Mapping[str, str]) -> None:
        """A page in somebody's browser must not cut connections."""
        if "origin" in fields or fields.get("sec-fetch-site", "none") not in (
            "none",
            "same-origin",
        ):
            raise Refused(403, "requests of web pages are refused")
        host = re.sub(r":\d+$", "", fields.get("host", "")).lower()
        if self._names is not None and host not in self._names:
            raise Refused(403, f"host {host!r} is not this machine")

    # --- proxies --------------------------------------------------------------------------------

    def _relay(self, name: str) -> Relay:
        found = self._board.relays.get(name)
        if found is None:
            raise Refused(404, "proxy not found")
        return found

    async def _create(self, given: Mapping[str, Any], where: str = "") -> Relay:
        for field in ("name", "upstream"):
            if not given.get(field):
                raise Refused(400, f"missing required field: {field}{where}")
        name = _name(given["name"])
        if name in self._board.relays:
            raise Refused(409, "proxy already exists")
        upstreams = str(given["upstream"]).split(",")
        try:
            await self._board.open(
                name,
                upstreams,
                _listens(given),
                shared=len(upstreams) > 1 and len(_listens(given)) == 1,
                remote=self._names is None,
                enabled=given.get("enabled", True) is not False,
            )
        except UsageError as error:
            raise Refused(400, str(error)) from None
        return self._board.relays[name]

    async def _populate(self, body: bytes) -> Told:
        given = _json(body)
        if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
            raise Refused(400, "bad request body: give a list of proxies")
        for at, each in enumerate(given, 1):
            for field in ("name", "upstream"):
                if not each.get(field):
                    raise Refused(400, f"missing required field: {field} at proxy {at}")
        made: list[dict[str, Any]] = []
        for each in given:
            try:
                known = self._board.relays.get(_name(each["name"]))
                if known is not None and _differs(known, each):
                    await self._board.discard(known.name)
                    known = None
                relay = known or await self._create(each)
            except Refused as refused:
                return Told(refused.status, {**refused.told().value, "proxies": made})
            made.append(shown(relay))
        return Told(201, {"proxies": made})

    async def _update(self, relay: Relay, given: Mapping[str, Any]) -> Relay:
        """Another address makes it a new proxy, with the toxics it had."""
        enabled = given.get("enabled", relay.enabled) is not False
        fields = {**shown(relay), **given, "name": relay.name, "enabled": enabled}
        if _differs(relay, fields):
            toxics = [applied.spec.fault for applied in relay.applied.values()]
            names = list(relay.applied)
            await self._board.discard(relay.name)
            relay = await self._create(fields)
            for name, fault in zip(names, toxics, strict=True):
                await self._board.put(relay.name, fault, name)
        elif enabled and not relay.enabled:
            await self._start(relay)
        elif relay.enabled and not enabled:
            relay.stop()
        return relay

    async def _reset(self) -> None:
        for relay in tuple(self._board.relays.values()):
            await self._board.clear(relay.name)
            if not relay.enabled:
                await self._start(relay)

    async def _start(self, relay: Relay) -> None:
        try:
            await relay.start()
        except UsageError as error:
            raise Refused(500, str(error)) from None

    # --- toxics ---------------------------------------------------------------------------------

    async def _add(self, relay: Relay, given: Mapping[str, Any]) -> dict[str, Any]:
        kind = str(given.get("type") or "")
        if kind not in KINDS:
            raise Refused(400, "invalid toxic type")
        stream = given.get("stream") or KINDS[kind].stream
        if stream not in ("upstream", "downstream"):
            raise Refused(400, "stream was invalid, can be either upstream or downstream")
        name = _name(given.get("name") or f"{kind}_{stream}")
        if name in relay.applied:
            raise Refused(409, "toxic already exists")
        fault = _fault(relay.name, {**given, "type": kind, "stream": str(stream)})
        return await self._put(relay, fault, name)

    async def _change(
        self, relay: Relay, applied: Applied, given: Mapping[str, Any]
    ) -> dict[str, Any]:
        was = toxic_shown(applied)
        attributes = {**was["attributes"], **_numbers(given.get("attributes"))}
        kept = {key: given[key] for key in ("toxicity", "per", "bad") if key in given}
        fault = _fault(relay.name, {**was, **kept, "attributes": attributes})
        _checked(fault, applied.spec.name)
        await relay.remove(applied)
        return await self._put(relay, fault, applied.spec.name)

    async def _put(self, relay: Relay, fault: Fault, name: str) -> dict[str, Any]:
        try:
            await self._board.put(relay.name, fault, name)
        except UsageError as error:
            raise Refused(400, str(error)) from None
        return toxic_shown(relay.applied[name])


def shown(relay: Relay) -> dict[str, Any]:
    return {
        "name": relay.name,
        "listen": ",".join(map(str, relay.listen)),
        "upstream": ",".join(map(str, relay.upstreams)),
        "enabled": relay.enabled,
        "toxics": [toxic_shown(each) for each in relay.applied.values()],
        "counts": asdict(relay.counts()),
    }


def toxic_shown(applied: Applied) -> dict[str, Any]:
    spec = applied.spec
    return {
        "name": spec.name,
        "type": spec.kind.name,
        "stream": str(spec.stream),
        "toxicity": spec.probability,
        "attributes": {name: _plain(value) for name, value in spec.attributes.items()},
        "per": str(spec.per),
        "bad": spec.bad,
        "after": spec.after,
        "until": spec.until,
        "thrown": applied.thrown,
        "hit": applied.hit,
    }


def _name(given: object) -> str:
    """Of what stands in a path afterwards. Raises Refused."""
    if isinstance(given, str) and _IN_PATH.fullmatch(given) and given.isprintable():
        return given
    raise Refused(
        400, f"name is {given!r:.60}: give a text that a path can hold, without / ? # and %"
    )


def _toxic(relay: Relay, name: str) -> Applied:
    found = relay.applied.get(name)
    if found is None:
        raise Refused(404, "toxic not found")
    return found


def _fault(name: str, given: Mapping[str, Any]) -> Fault:
    """From toxiproxy's fields, and ours. Raises Refused."""
    try:
        return Fault(
            upstream=name,
            kind=given["type"],
            attributes=_numbers(given.get("attributes")),
            probability=float(given.get("toxicity", 1.0)),
            per=Per(given.get("per") or Per.CONNECTION),
            stream=given["stream"],
            bad=int(given.get("bad") or 0),
            after=float(given.get("after") or 0.0),
            until=None if given.get("until") is None else float(given["until"]),
        )
    except (TypeError, ValueError) as error:
        raise Refused(400, f"bad request body: {error}") from None


def _checked(fault: Fault, name: str) -> None:
    try:
        spec_of(fault, name)
    except UsageError as error:
        raise Refused(400, str(error)) from None


def _numbers(given: object) -> dict[str, float]:
    """Attributes as they come: null is none."""
    if given is None:
        return {}
    if not isinstance(given, dict) or not all(
        isinstance(each, int | float) and not isinstance(each, bool) for each in given.values()
    ):
        raise Refused(400, "bad request body: attributes are numbers by name")
    return dict(given)


def _plain(value: float) -> float:
    """Clients in typed languages want whole numbers whole."""
    return int(value) if value == int(value) else value


def _differs(relay: Relay, given: Mapping[str, Any]) -> bool:
    now = shown(relay)
    return any(
        _addresses(str(given[field])) != _addresses(now[field])
        for field in ("listen", "upstream")
        if given.get(field)
    )


def _addresses(text: str) -> list[str]:
    return [re.sub("^localhost:", "127.0.0.1:", each.strip()) for each in text.split(",")]


def _listens(given: Mapping[str, Any]) -> list[str]:
    return [each.strip() for each in str(given.get("listen") or "").split(",") if each.strip()]


def _object(body: bytes) -> dict[str, Any]:
    given = _json(body)
    if not isinstance(given, dict):
        raise Refused(400, "bad request body: give an object")
    return given


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise Refused(400, f"bad request body: {error}") from None
