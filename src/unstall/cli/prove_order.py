"""What `unstall prove` was asked to do: a plan, or an app without one, and what the app finds around it."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unstall.chaos.kinds import spec_of
from unstall.cli.target import project_root
from unstall.errors import UsageError
from unstall.load.recipe import is_header, is_path
from unstall.load.workers import MOST as MOST_PROCESSES
from unstall.model.plan import Plan
from unstall.prove.ground import check, folder_of, ground_of
from unstall.settings import working_folder

if TYPE_CHECKING:
    from unstall.prove.derive import Terms
    from unstall.prove.first_look import Wanted
    from unstall.prove.run import Wishes

_LOOK = {"upstream": "--upstream", "fault": "--fault", "probability": "--probability",
         "seconds": "--seconds", "rate": "--rate", "witness": "--witness", "skip": "--skip",
         "header": "--header", "value": "--value", "openapi": "--openapi",
         "read_only": "--read-only"}  # fmt: skip
"""What a plan says, so that a flag beside it would contradict it."""


@dataclass(frozen=True, slots=True)
class Asked:
    plan: Plan
    wanted: Wanted | None = None
    """Without a plan: what its scenarios are to be derived for."""
    terms: Terms | None = None
    openapi: object = None
    """The document; None: the app is asked for it."""
    routes: tuple[str, ...] = ()
    """All that the source shows."""


def asked_of(args: argparse.Namespace) -> Asked:
    """Raises UsageError for what cannot be carried out, as far as can be told before anything is started."""
    if args.target and _is_app(args.target):
        from unstall.prove.first_look import skeleton

        wanted = _wanted(args)
        plan = _with_flags(skeleton(wanted), args)
        for fault in plan.faults:
            spec_of(fault)
        return Asked(plan, wanted, _terms(args), _read_openapi(args.openapi))
    plan = _with_flags(_plan(args), args)
    check(plan, args.allow_remote or ())
    return Asked(plan)


def wishes_of(
    asked: Asked, args: argparse.Namespace, say: Callable[[str], None]
) -> tuple[Asked, Wishes]:
    """With what the source says of the app."""
    from unstall.cli.prove_source import Source, installed_in, source_of
    from unstall.prove.run import Wishes

    environ = _environ(args)
    ground_of(asked.plan, environ)
    read = Source() if args.no_audit else source_of(asked.plan, say)
    wishes = Wishes(
        environ=environ,
        root=read.root or installed_in(asked.plan) or project_root(folder_of(asked.plan)),
        allow_remote=tuple(args.allow_remote or ()),
        processes=args.processes,
        source=read.findings,
        gaps=read.gaps,
    )
    return replace(asked, routes=read.routes), wishes


def _read_openapi(file: Path | None) -> object:
    """Raises UsageError."""
    if file is None:
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        why = error.strerror
    except ValueError:
        why = "it is no JSON"
    raise UsageError(f"--openapi {file} cannot be read ({why}): give what /openapi.json serves")


def _is_app(text: str) -> bool:
    return ":" in text and not text.endswith(".toml") and not Path(text).is_file()


def _plan(args: argparse.Namespace) -> Plan:
    """From the file named, else from the project's. Raises UsageError."""
    from unstall.plans import find_plan, read_plan

    values = {flag: getattr(args, name) for name, flag in _LOOK.items()}
    given = [flag for flag, value in values.items() if value is not None and value is not False]
    if given:
        raise UsageError(
            f"{given[0]} is for an app without a plan: leave it out, or write it into the plan"
        )
    if args.target:
        return read_plan(Path(args.target))
    plan = find_plan(working_folder())
    if plan is None:
        raise UsageError(
            "there is no plan in unstall.toml or [tool.unstall] of pyproject.toml here: name its file, or "
            "the app as package.module:app with --upstream NAME"
        )
    return plan


def _with_flags(plan: Plan, args: argparse.Namespace) -> Plan:
    for name, low in (("seed", 0), ("repeat", 1)):
        value = getattr(args, name)
        if value is not None and value < low:
            raise UsageError(f"--{name} is {value}: give {low} or more")
    if not 1 <= args.processes <= MOST_PROCESSES:
        raise UsageError(f"--processes is {args.processes}: give 1 to {MOST_PROCESSES}")
    given = {name: v for name in ("seed", "repeat") if (v := getattr(args, name)) is not None}
    return replace(plan, **given)


def _wanted(args: argparse.Namespace) -> Wanted:
    """Raises UsageError for a number that makes no run, and for faults of nobody."""
    from unstall.prove.first_look import Wanted

    for name, low, high in (("seconds", 1, 3600), ("rate", 0.1, 100_000), ("probability", 0, 1)):
        value = getattr(args, name)
        if value is not None and not low <= value <= high:  # NaN is in no range
            raise UsageError(f"--{name} is {value:g}, outside {low:g} to {high:g}: give one within")
    if args.fault and not args.upstream:
        raise UsageError(
            "--fault is for an upstream: name the variable that names it with --upstream"
        )
    if args.witness is not None and not is_path(args.witness):
        raise UsageError(
            f"--witness is {args.witness!r}: a path begins with a slash, as in /livez, and a space is %20"
        )
    if not all(args.upstream or ()):
        raise UsageError("--upstream is empty: name the variable that names one to the app")
    given: dict[str, Any] = {
        name: value
        for name in ("probability", "seconds", "rate", "seed", "witness")
        if (value := getattr(args, name)) is not None
    }
    if args.fault:
        given["faults"] = tuple(dict.fromkeys(args.fault))
    upstreams = tuple(dict.fromkeys(args.upstream or ()))
    return Wanted(app=args.target, upstreams=upstreams, **given)


def _terms(args: argparse.Namespace) -> Terms:
    from unstall.prove.derive import Terms

    headers: dict[str, str] = {}
    for text in args.header or ():
        name, colon, value = text.partition(":")
        if not (name.strip() and colon):
            raise UsageError("--header has no colon between name and value: write it as NAME:VALUE")
        if not is_header(name.strip(), value.strip()):
            raise UsageError(
                f"--header has {name.strip()!r:.60}, which with its value is no header: take line breaks out "
                "of it, and what is no letter out of the name"
            )
        headers[name.strip()] = value.strip()
    return Terms(
        seed=args.seed or 0,
        headers=headers,
        values=_values(args.value or ()),
        writes=not args.read_only,
        skip=tuple(args.skip or ()),
    )


def _values(given: Iterable[str]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name.strip() and equals):
            raise UsageError(
                f"--value is {text!r:.60}, without a name and =: write it as in --value item_id=3"
            )
        values.setdefault(name.strip(), []).append(value)
    return values


def _environ(args: argparse.Namespace) -> Mapping[str, str]:
    """What the app finds before its plan speaks: the file gives way to what is set already."""
    from unstall.prove.env_file import read_env_file

    return {**(read_env_file(args.env_file) if args.env_file else {}), **os.environ}
