"""`unstall.trap()`: findings of all that blocks a loop of this process while it is open."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from types import FrameType, TracebackType

from unstall.configuration import trap_settings
from unstall.errors import UsageError
from unstall.model.finding import Finding, Severity
from unstall.model.latent import LatentCall
from unstall.model.report import Report, Verdict
from unstall.rules import BY_CODE
from unstall.settings import working_folder
from unstall.traps.canary import proven
from unstall.traps.hooks import HOOKS
from unstall.traps.judge import findings_of_calls
from unstall.traps.measured import Stretches, merged
from unstall.traps.openings import Opening
from unstall.traps.sight import Catcher
from unstall.traps.sightings import Sighting, Sightings
from unstall.triage.select import codes_of
from unstall.triage.waivers import waived, waivers_in
from unstall.version import TOOL
from unstall.watch.stacks import Places, StackReader

_MOST_WAITS = 20
THRESHOLD_MS = 200.0
"""What computes on a loop for less is nobody's fault in a test: machines that test are slow and shared."""


class Trap:
    """Opened and closed by `with` or `async with`, from any thread; it sees the loops of all.

    It catches and goes on: what the code does stays as it is, unless it is `strict`. Of nested traps the
    one that was opened last catches, as with `warnings.catch_warnings`; of those that several threads have
    open at once, each catches what its own thread does, and all what a thread without one does.
    """

    def __init__(
        self,
        *,
        threshold_ms: float = THRESHOLD_MS,
        ignore: Sequence[str] = (),
        strict: bool = False,
        root: Path | None = None,
    ) -> None:
        self.root = Path(root or working_folder()).resolve()
        self._ignore = ignored(ignore)
        threshold_ms = _milliseconds(threshold_ms)
        self._stretches = Stretches(threshold_ms, self.root) if threshold_ms else None
        self._sightings = Sightings(_reader(self.root), self._refusal if strict else None)
        self._is_open = self._was_open = False
        self._findings: tuple[Finding, ...] | None = None
        self._objections: tuple[str, ...] = ()
        self._missing: tuple[str, ...] = ()
        self._waits: dict[str, int] = {}
        self._failures = 0
        self._opening: Opening[Catcher] | None = None

    # --- open and closed ----------------------------------------------------------------------

    def __enter__(self) -> Trap:
        if self._was_open:
            raise UsageError(
                "a trap was entered twice: make a new one with unstall.trap() each time"
            )
        self._is_open = self._was_open = True
        self._failures = HOOKS.sight.failed_times
        if self._stretches is not None:
            self._stretches.start(self._is_told)
        self._opening = HOOKS.open(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_open:
            self._close()
            if self._stretches is not None:
                if asyncio._get_running_loop() is None:
                    self._stretches.settle()
                self._stretches.stop()

    def _close(self) -> None:
        self._is_open = False
        self._missing = (*HOOKS.missing, *_failed(HOOKS.sight.failed_times - self._failures))
        HOOKS.close(self)

    async def __aenter__(self) -> Trap:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if (
            self._is_open
            and self._stretches is not None
            and asyncio._get_running_loop() is not None
        ):
            self._close()
            try:
                await self._stretches.settle_on_loop()
            finally:
                self._stretches.stop()
        self.__exit__(kind, error, trace)

    # --- what it caught -----------------------------------------------------------------------

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was caught so far; complete once the trap is closed. Errors come first."""
        if self._is_open:
            return self._judged()
        if self._findings is None:
            self._findings = self._judged()
        return self._findings

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Those that fail a test."""
        return tuple(each for each in self.findings if each.severity is Severity.ERROR)

    @property
    def gaps(self) -> tuple[str, ...]:
        """What is wrong with comments that were to waive a finding, and what was not seen, in sentences."""
        over = self._sightings.passed_over
        lost = (f"{over} calls were seen and not kept: there were too many places",) if over else ()
        waits = (
            f"a step of {whose} waited {ns / 1e6:.1f} ms for something that no hook saw"
            for whose, ns in self._waits.items()
        )
        return (*self._objections, *self._missing, *lost, *waits)

    def saw(self, call: str, peer: str | None, frame: FrameType) -> Sighting | None:
        """From the hooks, on the thread that makes the call."""
        return self._sightings.note(call, peer, frame)

    def waited(self, whose: str, ns: int) -> None:
        """From the hooks, on the thread that waited."""
        if whose in self._waits or len(self._waits) < _MOST_WAITS:
            self._waits[whose] = max(ns, self._waits.get(whose, 0))

    def _is_told(self, thread: str, at_ns: int) -> bool:
        opening = self._opening
        return opening is not None and HOOKS.sight.openings.is_told(opening, thread, at_ns)

    def _judged(self) -> tuple[Finding, ...]:
        seen = findings_of_calls(self._sightings.calls(), self._ignore)
        measured = self._stretches.findings(self._ignore) if self._stretches is not None else ()
        return _ranked(self._without_waived(merged(measured, seen)))

    def _refusal(self, call: LatentCall) -> str:
        for finding in self._without_waived(findings_of_calls([call], self._ignore)):
            if finding.severity is Severity.ERROR:
                return _refused(finding)
        return ""

    def _without_waived(self, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
        """Less those with a comment `# unstall: ignore[US103] why` beside the code."""
        files = {finding.site.file for finding in findings if finding.site is not None}
        known = waivers_in(sorted(files), self._read, BY_CODE)
        self._objections = known.objections
        if not known.waivers:
            return findings
        report = Report(TOOL, "", Verdict.FINDINGS, findings)
        return waived(report, known, self._read, date.today())[0].findings

    def _read(self, file: str) -> str | None:
        try:
            return (self.root / file).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None


def trap(
    *,
    threshold_ms: float | None = None,
    ignore: Sequence[str] = (),
    strict: bool = False,
    root: Path | None = None,
) -> Trap:
    """Catches what blocks a loop of this process: `with unstall.trap() as caught: …; caught.findings`.

    `threshold_ms` is for what was not seen to be called, as computing: longer than that is a finding; 0 looks
    at calls only. `ignore` holds codes of rules, or names of calls with `*` for anything. `strict` raises
    `BlockingCallError` at the call, once it is on the record. `root` is the folder of the application, by
    default the current one; `[tool.unstall.trap]` of its pyproject.toml counts, too.
    """
    proven()
    folder = Path(root or working_folder())
    configured = trap_settings(folder)
    if threshold_ms is None:
        threshold_ms = configured.threshold_ms
    return Trap(
        threshold_ms=THRESHOLD_MS if threshold_ms is None else threshold_ms,
        ignore=(*configured.ignore, *ignored(ignore)),
        strict=strict,
        root=folder,
    )


@cache
def _reader(root: Path) -> StackReader:
    """Shared by all traps: what it has read of source stays as it is."""
    return StackReader(Places(root))


def ignored(given: object, where: str = "ignore") -> tuple[str, ...]:
    """Codes of rules and names of calls, as they were written at `where`. Raises UsageError."""
    if isinstance(given, str):
        raise UsageError(f"{where} is the text {given!r}: give a list, as in [{given!r}]")
    words = tuple(given) if isinstance(given, Iterable) else (given,)
    texts = [each for each in words if isinstance(each, str) and each]
    if len(texts) < len(words):
        raise UsageError(f"{where} is {given!r}: give a list of codes and names, as in ['US106']")
    codes = [each for each in texts if each.upper().startswith("US") and not set("*.") & set(each)]
    return (*codes_of(codes, where), *(each for each in texts if each not in codes))


def _milliseconds(given: object) -> float:
    number = isinstance(given, int | float) and not isinstance(given, bool)
    if number and 0 <= given < math.inf:  # type: ignore[operator]
        return float(given)  # type: ignore[arg-type]
    raise UsageError(f"threshold_ms is {given!r}: give milliseconds from 0 upwards, as in 200")


def _failed(times: int) -> tuple[str, ...]:
    if times <= 0:
        return ()
    error = HOOKS.sight.failures[-1]
    return (f"hooks of unstall failed {times} times, the last with {error!r}: please report it",)


def _refused(finding: Finding) -> str:
    site = finding.site
    where = f"{site.file}:{site.line} in {site.function} calls {site.call}" if site else "a call"
    return f"{where}: {finding.title} ({finding.code}); {finding.remedy.summary}"


_ORDER = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}


def _ranked(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=_rank))


def _rank(finding: Finding) -> tuple[object, ...]:
    site = finding.site
    return (_ORDER[finding.severity], (site.file, site.line) if site else ("", 0), finding.code)
