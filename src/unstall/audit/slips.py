"""What the analysis did not get through: it is told, and the rest goes on."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

from unstall.errors import UnstallError

_MOST = 20
"""Told in words; of more only how many."""


class Slips:
    """Of one audit. A mistake of ours costs what it was made in, and never the report."""

    def __init__(self) -> None:
        self._told: dict[str, None] = {}

    def kept(self, file: str, what: str) -> Kept:
        """Around work on `what`: an error inside becomes a gap, by file and function."""
        return Kept(self._told, file, what)

    def gaps(self) -> tuple[str, ...]:
        told = tuple(self._told)
        if len(told) <= _MOST:
            return told
        return (*told[:_MOST], f"{len(told) - _MOST} more functions could not be analysed")


@dataclass(frozen=True, slots=True)
class Kept:
    told: dict[str, None]
    file: str
    what: str

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception) or isinstance(error, UnstallError):
            return False
        said = f"the analysis of {self.what} failed ({type(error).__name__}); please report it"
        if isinstance(error, RecursionError):
            said = f"{self.what} is nested too deeply to analyse"
        self.told[f"{self.file}: {said}" if self.file else said] = None
        return True
