"""One case, one tool, one loop: a fresh server, real requests over loopback, and what the tool said."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import IO, Any

from benchmarks.cases.case import VARIABLE, Case, Group, Send
from benchmarks.support.machine import ROOT
from benchmarks.support.peers import Word
from benchmarks.support.processes import command, environment

SETTLE_S = 0.35
"""After start-up, before the case: detectors find their rhythm."""
AFTER_S = 0.3
"""After the case: for those who speak when it is over."""
ANSWER_S = 20.0
_STOP_S = 8.0
_AHEAD_S = 0.08
"""How long the bystander is under way when the case begins."""


@dataclass(frozen=True, slots=True)
class Told:
    """What came of one staging; times are monotonic nanoseconds of this machine."""

    case: str
    tool: str
    loop: str
    sent_ns: int = 0
    spans: tuple[tuple[int, int], ...] = ()
    """When the case held the loop, as it knows itself; none for clean ones."""
    words: tuple[Word, ...] = ()
    """Since the request was sent."""
    stalls: tuple[Mapping[str, Any], ...] = ()
    """Of unstall: what it said of each stall that was over."""
    codes: tuple[str, ...] = ()
    """Of unstall: the rules of its report."""
    status: int = 0
    trouble: str = ""


def staged(case: Case, tool: str, loop: str, addresses: Mapping[str, str]) -> Told:
    """A staging that went wrong says so in `trouble`."""
    with tempfile.TemporaryDirectory(prefix="matrix-", ignore_cleanup_errors=True) as folder:
        server = _Server(case, tool, loop, addresses, folder)
        try:
            return server.run()
        except (OSError, ValueError, http.client.HTTPException, RuntimeError) as error:
            return Told(case.name, tool, loop, trouble=f"{type(error).__name__}: {error}")
        finally:
            server.stop()


@dataclass(slots=True)
class _Lines:
    """What a stream says, each line with the moment it came."""

    lines: list[tuple[int, str]] = field(default_factory=list)

    def follow(self, stream: IO[str]) -> threading.Thread:
        def read() -> None:
            with stream:
                for line in stream:
                    self.lines.append((time.monotonic_ns(), line))

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread


class _Server:
    def __init__(
        self, case: Case, tool: str, loop: str, addresses: Mapping[str, str], folder: str
    ) -> None:
        self._case, self._tool, self._loop = case, tool, loop
        ours = tool == "unstall"
        serve = command("watched", "bare" if ours else tool, loop, case.staged)
        watch = [sys.executable, "-m", "unstall", "run", "--format", "json", "--"]
        self._process = subprocess.Popen(
            [*watch, *serve] if ours else serve,
            cwd=ROOT,
            env={**environment(tool), VARIABLE: json.dumps(addresses), "TMPDIR": folder},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._out, self._errors = self._process.stdout, _Lines()
        self._reader = self._errors.follow(self._process.stderr)

    def run(self) -> Told:
        line = self._out.readline()
        if not line.strip().isdecimal():
            raise RuntimeError(f"the service did not start: {self._said()[-600:]}")
        port = int(line)
        _get(port, "/openapi.json")
        if self._case.warm:
            for _ in range(2 if self._case.send is not Send.WEBSOCKET else 0):
                _get(port, self._case.path.format(item="not-a-number"))
        if self._case.warm and self._case.group is Group.CLEAN:
            self._ask(port)  # lazy imports are over: only what every request does is judged
        time.sleep(SETTLE_S)
        bystander = threading.Thread(target=_quietly, args=(_get, port, "/bystander"))
        bystander.start()
        time.sleep(_AHEAD_S)
        sent = time.monotonic_ns()
        status = self._ask(port)
        bystander.join(ANSWER_S)
        time.sleep(AFTER_S)
        ended = json.loads(_get(port, "/end")[1])
        spans = tuple((begin, end) for begin, end in ended["spans"])
        parts = (self._case.name, self._tool, self._loop, sent, spans)
        if self._tool != "unstall":
            words = [_word(word) for word in ended["words"]]
            return Told(*parts, tuple(word for word in words if word.at_ns >= sent), status=status)
        self.stop()
        return _of_unstall(Told(*parts, status=status), self._errors.lines)

    def _ask(self, port: int) -> int:
        return SENDERS[self._case.send](port, self._case.path.format(item=7))

    def _said(self) -> str:
        self.stop()
        return "".join(line for _, line in self._errors.lines)

    def stop(self) -> None:
        """Politely; a peer has said all it had to say, and a frozen process hears nothing."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # what it left behind holds our pipes open
        self._reader.join(_STOP_S)
        self._out.close()


def _word(plain: Mapping[str, Any]) -> Word:
    return Word(**{**plain, "lines": tuple(plain["lines"]), "routes": tuple(plain["routes"])})


def _of_unstall(told: Told, lines: Sequence[tuple[int, str]]) -> Told:
    """From the JSON lines of `unstall run`: a word for each, and the stalls that are over."""
    words, over, report = [], [], None
    for at_ns, line in lines:
        if not line.startswith("{"):
            continue
        said: dict[str, Any] = json.loads(line)
        if said["kind"] == "report":
            report = said
        if said["kind"] != "stall" or said["startup"] or said["until_ns"] < told.sent_ns:
            continue
        words.append(_word_of(at_ns, said))
        if not said["ongoing"]:
            over.append(said)
    if report is None or not report["coverage"]["loops"]:
        raise RuntimeError(f"unstall did not watch: {''.join(line for _, line in lines)[-600:]}")
    codes = tuple(finding["code"] for finding in report["findings"])
    return replace(told, words=tuple(words), stalls=tuple(over), codes=codes)


def _word_of(at_ns: int, stall: Mapping[str, Any]) -> Word:
    site, entry = stall.get("site"), stall.get("entry")
    place = f"{site['file']}:{site['line']}" if site else ""
    where = f"{place} {site['function']} ({site['call']})" if site else "nobody's line"
    return Word(
        at_ns,
        f"{stall['cause']} {stall['held_ms']:.0f} ms in {where}: {stall['because']}",
        label=stall["cause"],
        lines=(place,) if place else (),
        routes=(entry["name"],) if entry else (),
        ongoing=stall["ongoing"],
    )


# --- the client -------------------------------------------------------------------------------------


def _get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _quietly(act: Callable[..., object], *args: object) -> None:
    try:
        act(*args)
    except (OSError, http.client.HTTPException):
        return


def _status_of_get(port: int, path: str) -> int:
    try:
        return _get(port, path)[0]
    except http.client.HTTPException:  # a stream that ends in an error ends early
        return 0


def _upload(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    try:
        connection.request("POST", path, b"order\n" * 300_000)
        return connection.getresponse().status
    finally:
        connection.close()


def _talk(port: int, path: str) -> int:
    from websockets.sync.client import connect

    with connect(f"ws://127.0.0.1:{port}{path}", open_timeout=ANSWER_S) as socket:
        for _ in range(5):
            socket.send("order")
            socket.recv(timeout=ANSWER_S)
        for _ in socket:  # until the service hangs up
            pass
    return 200


SENDERS: dict[Send, Callable[[int, str], int]] = {
    Send.GET: _status_of_get,
    Send.UPLOAD: _upload,
    Send.WEBSOCKET: _talk,
}
