"""The command line: one file per command. Nothing is imported before somebody waits for Ctrl-C."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of `unstall ARGV...`; nothing but bugs is raised."""
    try:
        import sys

        from unstall.cli.commands import answer

        return answer(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        return INTERRUPTED
