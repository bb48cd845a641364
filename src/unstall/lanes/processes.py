"""A process for one slot of a lane: started ahead, ended in the middle of a call if it must be."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unstall.errors import LaneBroken
from unstall.lanes import child
from unstall.lanes.jobs import module_of, name_of
from unstall.lanes.requests import request_of, result_of

if TYPE_CHECKING:
    from unstall.lanes.jobs import Job

_GOODBYE_S = 1.0


class ProcessWorker:
    __slots__ = ("_answers", "_doomed", "_lane", "_modules", "_process", "_requests")

    def __init__(self, lane: str, modules: set[str]) -> None:
        self._lane = lane
        self._modules = modules
        """Shared by the lane's workers: what a new process imports before its first call."""
        self._process: subprocess.Popen[bytes] | None = None
        self._doomed = False
        self._requests = self._answers = -1

    def ready(self) -> None:
        if self._doomed:
            self._end_process()
            self._doomed = False  # only now: whoever doomed it meant the call that is over
        if self._process is None:
            self._start()

    def _run(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            self._end_process()
        if self._process is None:
            self._start()

    def call(self, job: Job) -> Any:
        request = request_of(job, self._lane)
        self._modules.add(module_of(job.function))
        self._run()
        if self._doomed:
            raise LaneBroken("the caller has gone", self._lane)
        try:
            child.write(self._requests, request)
            answer = child.read(self._answers)
        except OSError:
            answer = None
        if answer is None:
            raise LaneBroken(
                f"a worker of the lane {self._lane!r} {self._end_process()} "
                f"while it ran {name_of(job.function)}",
                self._lane,
            )
        return result_of(answer, job, self._lane)

    def end(self) -> bool:
        self._doomed = True
        process = self._process
        if process is not None:
            process.kill()
        return True

    def close(self) -> None:
        """It ends by itself when its input does; one that does not is ended."""
        process = self._process
        if process is None:
            return
        self._close_pipes()
        try:
            process.wait(_GOODBYE_S)
        except subprocess.TimeoutExpired:
            pass
        self._end_process()

    def forked(self) -> None:
        process, self._process = self._process, None
        self._close_pipes()
        if process is not None:
            process.returncode = 0  # it is no child of ours

    # --- the process --------------------------------------------------------------------------

    def _start(self) -> None:
        requests_out, requests = os.pipe()
        answers, answers_in = os.pipe()
        self._requests, self._answers = requests, answers
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        try:
            self._process = subprocess.Popen(
                [sys.executable, *flags, child.__file__], stdin=requests_out, stdout=answers_in
            )
        except OSError as error:
            self._close_pipes()
            raise LaneBroken(
                f"a worker of the lane {self._lane!r} could not be started ({error})", self._lane
            ) from error
        finally:
            os.close(requests_out)
            os.close(answers_in)
        try:
            child.write(requests, self._hello())
            ready = child.read(answers)
        except OSError:
            ready = None
        if ready is None:
            raise LaneBroken(
                f"a worker of the lane {self._lane!r} {self._end_process()} before it was ready",
                self._lane,
            )

    def _hello(self) -> bytes:
        return pickle.dumps((sys.path, sys.argv, _main(), sorted(self._modules - {"__main__"})))

    def _end_process(self) -> str:
        """Says how it ended."""
        process, self._process = self._process, None
        self._close_pipes()
        if process is None:
            return "was ended"
        process.kill()  # does nothing to one that has ended
        code = process.wait()
        return f"was ended by {_signal(-code)}" if code < 0 else f"ended with exit code {code}"

    def _close_pipes(self) -> None:
        for fd in (self._requests, self._answers):
            if fd >= 0:
                os.close(fd)
        self._requests = self._answers = -1


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _main() -> tuple[bool, str] | None:
    """How a worker finds the application's main module: by name or by path; None where there is none."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return True, spec.name
    file = getattr(main, "__file__", None)
    return None if file is None else (False, str(Path(file).absolute()))
