"""Runs the probe under another interpreter, within limits, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from unstall.audit.scratch import scratch

_PROBE: Final = Path(__file__).parent / "probe"

# Any Python reads this; the folder is loaded under a name of its own, so no module of the app is shadowed.
_BOOT: Final = """
import json, os, sys
folder, text = sys.argv[1:]
if sys.version_info < (3, 9):
    failed = {"kind": "old", "message": "%d.%d" % sys.version_info[:2]}
    os.write(json.loads(text)["out"], ("\\n" + json.dumps({"failed": failed}) + "\\n").encode())
    os._exit(0)
import importlib.util
name = "_unstall_probe"
spec = importlib.util.spec_from_file_location(
    name, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
)
sys.modules[name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules[name])
importlib.import_module(name + ".main").main(text)
"""

_ANSWER_S: Final = 10.0
"""Seconds in which an interpreter says that it is one."""
_GRACE: Final = 1.0
"""Seconds in which a process at its limit may still say where it is."""


@dataclass(frozen=True, slots=True)
class Limits:
    seconds: float = 20.0
    memory: int = 16 << 30
    """Address space, in bytes: libraries reserve far more than they use."""
    answer: int = 64 << 20
    """Bytes of the answer."""
    output: int = 4_000
    """Bytes kept of the end of what the app prints."""


LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back."""

    answer: Mapping[str, Any] | None
    trace: str
    """Stacks that were written when time was up or the interpreter crashed."""
    output: str
    status: int
    """Exit code, negative for a signal."""
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    root: Path
    base: Path
    """Folder that stands first on `sys.path`."""
    folder: Path
    """Working folder."""
    module: str
    name: str
    factory: bool = False
    unfenced: bool = False
    """Import even where the kernel cannot hold back code in C."""


def is_python(interpreter: Path) -> bool:
    """Whether it answers as one, of whatever version; what cannot be started is told when it is."""
    command = [str(interpreter), "-c", "import sys; sys.stdout.write('unstall')"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWER_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return True
    return done.stdout.endswith(b"unstall")


def run(
    interpreter: Path, request: Request, environ: Mapping[str, str], limits: Limits = LIMITS
) -> Outcome:
    """Raises OSError when the interpreter cannot be started."""
    with scratch() as folder:
        reader, writer = os.pipe()
        with os.fdopen(reader, "rb", buffering=0) as answers:
            try:
                process = _start(interpreter, request, environ, limits, folder, writer)
            finally:
                os.close(writer)
            try:
                return _listen(process, answers.fileno(), limits)
            finally:
                _end(process)


def _start(
    interpreter: Path,
    request: Request,
    environ: Mapping[str, str],
    limits: Limits,
    folder: str,
    writer: int,
) -> subprocess.Popen[bytes]:
    told = {
        "root": str(request.root),
        "base": str(request.base),
        "module": request.module,
        "name": request.name,
        "factory": request.factory,
        "unfenced": request.unfenced,
        "scratch": folder,
        "out": writer,
        "parent": os.getpid(),
        "seconds": limits.seconds,
        "bytes": limits.memory,
    }
    return subprocess.Popen(
        [str(interpreter), "-c", _BOOT, str(_PROBE), json.dumps(told)],
        cwd=request.folder,
        env=_environment(environ, folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(writer,),
        start_new_session=True,
    )


def _environment(environ: Mapping[str, str], scratch: str) -> dict[str, str]:
    kept = {name: value for name, value in environ.items() if name != "UNSTALL_SOCKET"}
    return kept | {
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": scratch,
        "TEMP": scratch,
        "TMP": scratch,
    }


def _listen(process: subprocess.Popen[bytes], answers: int, limits: Limits) -> Outcome:
    """Until all is said, or time is up. What the app prints is read and mostly dropped."""
    assert process.stdout is not None
    output = process.stdout.fileno()
    heard, printed = bytearray(), bytearray()
    deadline = time.monotonic() + limits.seconds + _GRACE
    timed_out = False
    with selectors.DefaultSelector() as selector:
        selector.register(answers, selectors.EVENT_READ)
        selector.register(output, selectors.EVENT_READ)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                timed_out = True
                break
            for key, _ in selector.select(left):
                data = os.read(key.fd, 1 << 16)
                if not data:
                    selector.unregister(key.fd)
                elif key.fd == output:
                    printed = (printed + data)[-limits.output :]
                elif len(heard) < limits.answer:
                    heard += data
                else:
                    selector.unregister(answers)
    answer, trace = _parsed(bytes(heard))
    status = _end(process, 0.0 if timed_out else _GRACE)
    timed_out = timed_out or trace.startswith("Timeout (")
    return Outcome(answer, trace, printed.decode(errors="replace"), status, timed_out)


def _parsed(heard: bytes) -> tuple[Mapping[str, Any] | None, str]:
    """The answer is one line of JSON; whatever else came are stacks."""
    answer, trace = None, []
    for line in heard.split(b"\n"):
        if line.startswith(b"{"):
            with suppress(ValueError):
                answer = json.loads(line)
        elif line:
            trace.append(line.decode(errors="replace"))
    return answer, "\n".join(trace)


def _end(process: subprocess.Popen[bytes], patience: float = 0.0) -> int:
    """Its exit code; it and all that it may have started are gone afterwards."""
    try:
        status = process.wait(patience)
    except subprocess.TimeoutExpired:
        status = None
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
    return process.returncode if status is None else status
