"""The command line: one file per command. Nothing is imported before somebody waits for Ctrl-C."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED, TERMINATED = 130, 143
"""128 and the number of the signal, as shells have it."""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of `unstall ARGV...`; nothing but bugs is raised."""
    try:
        import sys

        from unstall.cli.commands import answer

        return answer(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        return INTERRUPTED
