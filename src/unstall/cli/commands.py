"""Finds the command, and turns what it returns or raises into an exit code.

A command is a module of this package with `NAME`, `HELP`, `configure(parser)` and `run(args) -> int`. Only
the one that is asked for is imported.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn, Protocol, cast

from unstall.errors import UnstallError, UsageError
from unstall.report.terminal import complain, flush, open_streams
from unstall.version import VERSION

COMMANDS = ("run", "report", "audit", "prove", "load", "chaos", "rules", "demo")
"""Modules of this package, in the order of the help; a command is called as its module is."""


class Command(Protocol):
    """What a module in `COMMANDS` offers."""

    NAME: str
    HELP: str

    def configure(self, parser: argparse.ArgumentParser) -> None: ...
    def run(self, args: argparse.Namespace) -> int: ...


class Parser(argparse.ArgumentParser):
    """Says in a sentence what is wrong, without the usage."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; {self.prog} --help lists what there is")


def answer(argv: Sequence[str]) -> int:
    """The exit code of `unstall ARGV...`; nothing but bugs and interrupts is raised."""
    try:
        open_streams()
        code = _dispatch(list(argv))
        flush()
        return code
    except UnstallError as error:
        complain(f"unstall: {error}")
        return error.exit_code


def _dispatch(argv: list[str]) -> int:
    if argv and not argv[0].startswith("-"):
        command = _command(argv[0])
        parser = Parser(
            prog=f"unstall {command.NAME}",
            description=command.HELP,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.configure(parser)
        args = _parsed(parser, argv[1:])
        return 0 if args is None else command.run(args)
    parser = Parser(prog="unstall", allow_abbrev=False, usage="unstall COMMAND ...")
    parser.add_argument("--version", action="version", version=f"unstall {VERSION}")
    parser.description = (
        "Finds what blocks the event loop of FastAPI and asyncio services: the line, the cause, the "
        "price, the remedy."
    )
    if not argv or argv[0] in ("-h", "--help"):
        commands = parser.add_argument_group("commands")
        for name in COMMANDS:
            commands.add_argument(name, help=_command(name).HELP)
        parser.print_help()
        return 0
    _parsed(parser, argv)
    return 0


def _parsed(parser: Parser, argv: list[str]) -> argparse.Namespace | None:
    """None if all that was asked for is said: --help, --version."""
    try:
        return parser.parse_args(argv)
    except SystemExit:
        return None


def _command(name: str) -> Command:
    if name not in COMMANDS:
        raise UsageError(f"there is no command {name!r}; {_near(name)}")
    return cast(Command, import_module(f"unstall.cli.{name}"))


def _near(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, COMMANDS, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(COMMANDS)}"
