"""What is said on stderr while a run goes on: the phase, the words of its monitors, bars on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from unstall.model.outcome import Progress
from unstall.model.proof import Phase
from unstall.prove.run import Audience
from unstall.report.terminal import complain
from unstall.triage.secrets import in_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID


class Stage(Audience):
    """Words alone, as a log or a pipe wants them."""

    def begins(self, phase: str, seconds: float) -> None:
        self.say(f"== {phase}")

    def hears(self, line: str) -> None:
        self.say(line)

    def ends(self, phase: Phase) -> None:
        self.say(f"   witness: {phase.verdict} ({in_text(phase.because)})")

    def say(self, line: str) -> None:
        complain(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


class BarStage(Stage):
    """The same above a bar for each phase."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        self._console = console
        self._bars = Bars(
            TextColumn("{task.description:<22}"),
            BarColumn(),
            TextColumn("{task.fields[counts]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._seconds = 0.0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def begins(self, phase: str, seconds: float) -> None:
        super().begins(phase, seconds)
        self._seconds = seconds
        self._task = self._bars.add_task(phase, total=seconds, counts="starting")

    def advances(self, progress: Progress) -> None:
        if self._task is not None:
            self._bars.update(
                self._task,
                completed=min(progress.elapsed_ns / 1e9, self._seconds),
                counts=f"{progress.answered} of {progress.due} answered",
            )

    def ends(self, phase: Phase) -> None:
        if self._task is not None:
            self._bars.update(self._task, completed=self._seconds)
        super().ends(phase)

    def say(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)


def stage() -> Stage:
    """Bars where `rich` is installed."""
    try:
        from rich.console import Console
    except ImportError:
        return Stage()
    return BarStage(Console(stderr=True, highlight=False))
