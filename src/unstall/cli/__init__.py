"""The command line: finds the command, and turns what it returns or raises into an exit code.

A command is a module of this package with `NAME`, `HELP`, `configure(parser)` and `run(args) -> int`. Only
the one that is asked for is imported.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn, Protocol, cast

from unstall.errors import UnstallError, UsageError
from unstall.version import VERSION

COMMANDS = ("run", "report", "demo")
"""Modules of this package, in the order of the help; a command is called as its module is."""

INTERRUPTED = 130


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


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of `unstall ARGV...`; nothing but bugs is raised."""
    try:
        code = _dispatch(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return code
    except UnstallError as error:
        print(f"unstall: {error}", file=sys.stderr)
        return error.exit_code
    except SystemExit as end:  # --help and --version
        return int(end.code or 0)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has left, as `head` does. Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


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
        return command.run(parser.parse_args(argv[1:]))
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
    parser.parse_args(argv)
    return 0


def _command(name: str) -> Command:
    if name not in COMMANDS:
        raise UsageError(f"there is no command {name!r}; {_near(name)}")
    return cast(Command, import_module(f"unstall.cli.{name}"))


def _near(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, COMMANDS, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(COMMANDS)}"
