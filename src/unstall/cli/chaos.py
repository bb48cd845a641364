"""`unstall chaos`: a proxy in front of an upstream that misbehaves."""

from __future__ import annotations

import argparse
import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from unstall.errors import UsageError
from unstall.model.plan import Fault
from unstall.model.proof import Exchanges
from unstall.report.terminal import complain, write

NAME = "chaos"
HELP = "put a proxy in front of an upstream and let it hang, crawl, cut or refuse, by chance and by a seed"

_EPILOG = """\
The proxy passes on what it gets, TLS included, until the dice say otherwise. They are thrown for each
exchange unless told: a question of the client and its answer, so that "5 % of calls hang" is true on
connections that are kept. With the same seed the same exchanges are hit. Ctrl-C ends it and prints the
counts.

  unstall chaos --listen 127.0.0.1:6000 --upstream 127.0.0.1:5432 --hang 15 --probability 0.05
  unstall chaos --upstream 10.0.0.5:80 --upstream 10.0.0.6:80 --bad 1 --toxic latency:latency=800,jitter=200
  unstall chaos --control 127.0.0.1:8474     (for clients of toxiproxy)

Kinds, with their attributes:
"""


def configure(parser: argparse.ArgumentParser) -> None:
    from unstall.chaos.kinds import KINDS

    parser.usage = "unstall chaos [OPTIONS] --upstream HOST:PORT ..."
    parser.epilog = _EPILOG + "\n".join(
        f"  {kind.name:<11} {', '.join(f'{a.name} ({a.unit})' for a in kind.attributes)}".rstrip()
        for kind in KINDS.values()
    )
    option = parser.add_argument
    option(
        "--upstream", metavar="HOST:PORT", action="append", default=[],
        help="where connections go, or unix:PATH; several are taken in turn",
    )  # fmt: skip
    option("--listen", metavar="HOST:PORT", help="where clients connect (a free port of 127.0.0.1)")
    option("--hang", metavar="S", help="answers come S seconds later: --toxic hang:seconds=S")
    option(
        "--toxic", metavar="KIND[:NAME=N,...]", action="append", default=[],
        help="what goes wrong, with its attributes; may be given several times",
    )  # fmt: skip
    option("--probability", metavar="P", default="1", help="of each toxic, from 0 to 1 (1)")
    option(
        "--per", metavar="UNIT", default="exchange",
        help="what the dice are thrown for: exchange, connection or request, of HTTP/1.1 (exchange)",
    )  # fmt: skip
    option(
        "--stream", metavar="WAY", default="", help="downstream or upstream (as the kind has it)"
    )
    option("--bad", metavar="N", default="0", help="only the first N upstreams are ill")
    option("--after", metavar="S", default="0", help="it begins after so many seconds")
    option("--until", metavar="S", help="it ends after so many seconds")
    option("--seed", metavar="N", default="0", help="of the dice (0)")
    option("--control", metavar="HOST:PORT", help="serve the HTTP interface of toxiproxy there")
    option("--allow-remote", action="store_true", help="let other machines connect")


def run(args: argparse.Namespace) -> int:
    from unstall.chaos import Chaos
    from unstall.chaos.addresses import listen_of, upstream_of

    faults = _faults(args)
    if not args.upstream and not args.control:
        raise UsageError("no --upstream was given: name the HOST:PORT to stand in front of")
    if not args.upstream and (faults or args.listen):
        given = "--listen" if args.listen else "--toxic or --hang"
        raise UsageError(f"{given} needs an --upstream: name the HOST:PORT to stand in front of")
    remote = args.allow_remote
    upstreams = [str(upstream_of(each, "--upstream")) for each in args.upstream]
    listen = str(listen_of(args.listen or "0", "--listen", remote=remote))
    with _interrupted() as over, Chaos(_whole(args.seed, "--seed"), on_note=_say) as chaos:
        if upstreams:
            shared = len(upstreams) > 1
            proxy = chaos.proxy("upstream", upstreams, listen=listen, shared=shared, remote=remote)
            for fault in faults:
                proxy.put(fault)
            write(f"{proxy.address} -> {', '.join(upstreams)}")
        if args.control:
            host, port = chaos.serve(args.control, remote=remote)
            write(f"control: http://{host}:{port}")
        over.wait()
        for counts in chaos.counts():
            write(told(counts))
    return 0


def told(counts: Exchanges) -> str:
    """The counts of a proxy, as a line."""
    parts = [_many(counts.connections, "connection"), _many(counts.exchanges, "exchange")]
    if counts.requests:
        parts.append(_many(counts.requests, "HTTP request"))
    if counts.thrown:
        parts.append(f"{counts.hit:,} of {counts.thrown:,} hit")
    if counts.unreachable:
        parts.append(f"{counts.unreachable:,} that the upstream did not take")
    return f"{counts.upstream}: {', '.join(parts)}"


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _faults(args: argparse.Namespace) -> list[Fault]:
    """Raises UsageError."""
    from unstall.chaos.chaos import per_of
    from unstall.chaos.kinds import spec_of

    wanted = [_toxic(text) for text in args.toxic]
    if args.hang is not None:
        wanted.append(("hang", {"seconds": _number(args.hang, "--hang")}))
    faults = [
        Fault(
            "upstream", kind, attributes=attributes,
            probability=_number(args.probability, "--probability"),
            per=per_of(args.per, "--per"),
            stream=args.stream,
            bad=_whole(args.bad, "--bad"),
            after=_number(args.after, "--after"),
            until=None if args.until is None else _number(args.until, "--until"),
        )
        for kind, attributes in wanted
    ]  # fmt: skip
    for fault in faults:
        spec_of(fault)
    return faults


def _toxic(text: str) -> tuple[str, dict[str, float]]:
    """`KIND` or `KIND:NAME=N,NAME=N`."""
    kind, _, rest = text.partition(":")
    attributes = {}
    for pair in rest.split(",") if rest else []:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(
                f"--toxic is {text!r}, and {pair!r} is no NAME=N: write it as latency:latency=100,jitter=20"
            )
        attributes[name.strip()] = _number(value, f"{name.strip()} of --toxic")
    return kind.strip(), attributes


def _number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{name} is {text!r}, which is no number: give one, for example 0.05")
    return value


def _whole(text: str, name: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{name} is {text!r}, which is no whole number: give one") from None


def _say(note: str) -> None:
    complain(f"unstall: {note}")


@contextmanager
def _interrupted() -> Iterator[threading.Event]:
    """Set by Ctrl-C, and by those who end processes politely."""
    over = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        over.set()

    before = {each: signal.signal(each, end) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield over
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
