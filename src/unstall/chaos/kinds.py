"""What there is to go wrong: a table of kinds, with toxiproxy's names and units where it has them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from difflib import get_close_matches

from unstall.chaos import acts
from unstall.chaos.pieces import Act, Stream
from unstall.errors import UsageError
from unstall.model.plan import Fault, Per

MOST = 1e15
"""Of any attribute: beyond, sums of it are no numbers any more."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """A number that a kind goes by. Where `default` is None it must be given."""

    name: str
    unit: str
    default: float | None = 0.0


@dataclass(frozen=True, slots=True)
class Kind:
    """What one fault does to the bytes of one direction."""

    name: str
    does: str
    attributes: tuple[Attribute, ...] = ()
    stream: Stream = Stream.DOWNSTREAM
    """Unless another is asked for."""
    delays: Act | None = None
    """When bytes go on; asked again for those that wait when a toxic goes."""
    cuts: Act | None = None
    """Which bytes go on; decided once, when they come."""
    only_per: Per | None = None
    """It can be thrown for nothing else."""
    from_start: bool = False
    """Thrown for a connection, it acts before the first byte."""
    refuses: bool = False
    """It acts where a connection is accepted."""
    shuts: bool = False
    """It acts where connections are listened for, and is not thrown."""


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "latency", "everything comes later, by latency and up to jitter more or less",
            (Attribute("latency", "ms"), Attribute("jitter", "ms")), delays=acts.latency,
        ),
        Kind(
            "jitter", "everything comes later, by anything from 0 to jitter",
            (Attribute("jitter", "ms", None),), delays=acts.jitter,
        ),
        Kind(
            "bandwidth", "no more than so much a second goes through; 0 is no limit",
            (Attribute("rate", "KB/s", None),), delays=acts.bandwidth,
        ),
        Kind(
            "slow_close", "the end of the connection comes later",
            (Attribute("delay", "ms", None),), delays=acts.slow_close, only_per=Per.CONNECTION,
        ),
        Kind(
            "timeout", "nothing goes through, and then the connection is closed; at 0 never",
            (Attribute("timeout", "ms"),), cuts=acts.timeout, from_start=True,
        ),
        Kind(
            "reset_peer", "the connection is reset when bytes come, or so long after",
            (Attribute("timeout", "ms"),), cuts=acts.reset_peer,
        ),
        Kind(
            "slicer", "bytes go on in small segments, one after the other",
            (Attribute("average_size", "bytes", None), Attribute("size_variation", "bytes"),
             Attribute("delay", "µs")), delays=acts.slicer,
        ),
        Kind(
            "limit_data", "so many bytes go through, and then the connection is closed",
            (Attribute("bytes", "bytes", None),), cuts=acts.limit_data,
        ),
        Kind(
            "down", "nobody listens, and what was connected is cut",
            only_per=Per.CONNECTION, shuts=True,
        ),
        Kind(
            "hang", "the answer comes so much later; what follows on the connection waits behind it",
            (Attribute("seconds", "s", None),), delays=acts.hang,
        ),
        Kind(
            "blackhole", "bytes are taken, and nothing comes back",
            stream=Stream.UPSTREAM, cuts=acts.blackhole,
        ),
        Kind(
            "refuse", "a new connection is reset before a byte",
            only_per=Per.CONNECTION, refuses=True,
        ),
        Kind(
            "truncate", "so much of an answer's first segment goes through, and the connection is closed",
            (Attribute("fraction", "of 1", 0.5),), cuts=acts.truncate,
        ),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spec:
    """A fault that can be applied: a known kind, all of its attributes, a direction."""

    name: str
    kind: Kind
    stream: Stream
    attributes: dict[str, float]
    probability: float
    per: Per
    bad: int
    after: float
    until: float | None
    fault: Fault
    """What it was made from."""


def spec_of(fault: Fault, name: str = "") -> Spec:
    """Checked and filled with defaults. Raises UsageError."""
    kind = _kind(fault.kind)
    stream = _stream(fault, kind)
    _check_chance(fault, kind)
    if not 0 <= fault.after < math.inf or fault.bad < 0:
        what = f"bad is {fault.bad}" if fault.bad < 0 else f"after is {fault.after:g}"
        raise UsageError(f"{what} of {kind.name!r}: give 0 or more")
    if fault.until is not None and not fault.after < fault.until < math.inf:
        raise UsageError(
            f"until is {fault.until:g} of {kind.name!r}, and it begins after {fault.after:g} s: give "
            "seconds greater than that"
        )
    return Spec(
        name=name or f"{kind.name}_{stream}",
        kind=kind,
        stream=stream,
        attributes=_attributes(fault, kind),
        probability=fault.probability,
        per=kind.only_per or fault.per,
        bad=fault.bad,
        after=fault.after,
        until=fault.until,
        fault=fault,
    )


def _kind(name: str) -> Kind:
    kind = KINDS.get(name)
    if kind is None:
        raise UsageError(f"there is no kind of fault {name!r}; {_near(name, KINDS)}")
    return kind


def _stream(fault: Fault, kind: Kind) -> Stream:
    if not fault.stream:
        return kind.stream
    try:
        return Stream(fault.stream)
    except ValueError:
        raise UsageError(
            f"stream is {fault.stream!r} of {kind.name!r}: give downstream, for what is answered, or "
            "upstream, for what is asked"
        ) from None


def _check_chance(fault: Fault, kind: Kind) -> None:
    if not 0 <= fault.probability <= 1:
        raise UsageError(
            f"probability is {fault.probability:g} of {kind.name!r}: give one from 0 to 1, for example "
            "0.05"
        )
    if kind.shuts and fault.probability < 1:
        raise UsageError(
            f"probability is {fault.probability:g} of {kind.name!r}, which takes the whole address away: use "
            "refuse, which is thrown for each connection"
        )


def _attributes(fault: Fault, kind: Kind) -> dict[str, float]:
    given = dict(fault.attributes)
    if fault.seconds is not None:
        given["seconds"] = fault.seconds
    known = [each.name for each in kind.attributes]
    for name, value in given.items():
        if name not in known:
            raise UsageError(f"{kind.name!r} has no {name!r}; {_near(name, known)}")
        if not 0 <= value <= MOST:
            what = f"{MOST:g} or less" if value > MOST else "0 or more"
            raise UsageError(f"{name} is {value:g} of {kind.name!r}: give {what}")
    for each in kind.attributes:
        if each.default is None and each.name not in given:
            raise UsageError(f"{kind.name!r} needs {each.name}, in {each.unit}: give it")
    return {each.name: given.get(each.name, each.default or 0.0) for each in kind.attributes}


def _near(name: str, known: dict[str, Kind] | list[str]) -> str:
    near = get_close_matches(name, list(known), n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are {', '.join(known)}" if known else "leave it out"
