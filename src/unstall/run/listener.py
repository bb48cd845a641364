"""Takes what the children send: keeps it, records it, says it aloud, and sums it up at the end."""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from unstall.explain.report import DEFAULT_THRESHOLD_NS, report_of
from unstall.explain.stalls import stall_of
from unstall.model.anatomy import SlowRequest
from unstall.model.observation import Stretch
from unstall.model.recording import Entry, LineReader
from unstall.model.report import Report, Verdict
from unstall.report.terminal import complain, has_colour
from unstall.report.units import clean
from unstall.run.inbox import Received
from unstall.run.live import JsonLive, Live
from unstall.run.options import Options
from unstall.run.record import Ledger, RecordFile
from unstall.run.vigil import Vigil, ask

_IDLE_S = 60.0
_AT_ONCE_MS = 10_000
_UNWATCHED = "nothing was watched: no Python process of this command ran an event loop"


class Listener:
    def __init__(
        self, command: tuple[str, ...], options: Options, root: Path, record: RecordFile | None
    ) -> None:
        self._command = command
        self._options = options
        self._root = root.resolve()
        self._record = record
        self._ledger = Ledger()
        self._colour = has_colour(sys.stderr)
        self._live = (
            JsonLive(self._say) if options.as_json else Live(self._say, colour=self._colour)
        )
        self._vigils: dict[int, Vigil] = {}
        self._readers: dict[int, LineReader] = {}
        self._mute = False

    def due_s(self) -> float:
        """Seconds until `look` has something to do."""
        dues = [due for vigil in self._vigils.values() if (due := vigil.due_ns()) is not None]
        if not dues:
            return _IDLE_S
        return max(0.0, (min(dues) - time.monotonic_ns()) / 1e9)

    def hear(self, received: Received) -> None:
        """One line of a child. What is no line of ours is counted, never raised."""
        vigil = self._vigils.get(received.connection)
        if received.line is None:
            self._vigils.pop(received.connection, None)
            self._readers.pop(received.connection, None)
            return
        text = received.line.decode(errors="replace")
        try:
            if vigil is not None:
                self._enter(vigil.hear(text, time.monotonic_ns()))
            elif text.startswith('{"kind":"'):
                reader = self._readers.setdefault(received.connection, LineReader())
                self._enter(reader.entry(text))
            elif text:
                self._greet(received.connection, json.loads(text))
        except (ValueError, TypeError, KeyError):
            self._ledger.note("a line of a child could not be read and was skipped")

    def _greet(self, connection: int, data: dict[str, Any]) -> None:
        if data["kind"] == "deadman":
            asks = ask if self._options.inside_c else None
            self._vigils[connection] = Vigil(data, self._root, ask=asks)
        else:
            self._ledger.note(str(data["text"]))

    def look(self) -> None:
        """Looks after the processes that beat, once all that was sent is heard."""
        for vigil in list(self._vigils.values()):
            self._enter(vigil.check(time.monotonic_ns()))

    def note(self, sentence: str) -> None:
        """Something about unstall itself, said now."""
        if self._options.as_json:
            self._say(json.dumps({"kind": "note", "text": sentence}))
        else:
            self._say(f"unstall: {clean(sentence)}")

    def finish(self, left: int, code: int) -> None:
        """The command has ended with `code`, and left `left` connections of its processes open."""
        if left:
            self._ledger.note("a process went on after the command had ended, and was let go")
        if self._record is not None:
            self._record.close()
        for word in self._last_words():
            self._ledger.note(word)
        if self._options.quiet or not self._options.summary:
            return
        if not self._ledger.watched:
            why = sorted(
                {hook for each in self._ledger.processes.values() for hook in each.inactive}
            )
            self._say_sentence(f"nothing was watched: {'; '.join(why)}" if why else _UNWATCHED)
            return
        report = report_of(self._ledger.recording(), shlex.join(self._command))
        if self._options.as_json:
            from unstall.report.json import document_of

            self._say(json.dumps({"kind": "report"} | document_of(report)))
        elif (sentence := in_a_sentence(report, code)) is not None:
            self._say_sentence(sentence)
        else:
            from unstall.report.text import render

            self._say("\n" + render(report, colour=self._colour))

    def _say_sentence(self, sentence: str) -> None:
        notes = [*self._ledger.notes]
        if self._options.as_json:
            self._say(json.dumps({"kind": "note", "text": sentence, "notes": notes}))
            return
        for note in (*notes, sentence):
            self._say(f"unstall: {clean(note)}")

    def _last_words(self) -> list[str]:
        words = []
        if self._record is not None and self._record.failed is not None:
            words.append(self._record.failed)
        if silent := sum(self._live.left_out().values()):
            words.append(f"{silent} stalls were not told of live, for there were too many at once")
        return words

    def _enter(self, entry: Entry | None) -> None:
        if entry is None or not self._ledger.add(entry):
            return
        if self._record is not None:
            self._record.write(entry)
        if isinstance(entry, Stretch | SlowRequest) and not self._options.quiet:
            process = self._ledger.processes.get(entry.process)
            threshold = process.threshold_ns if process else DEFAULT_THRESHOLD_NS
            pid = process.pid if process else int(entry.process.partition("-")[0] or 0)
            if isinstance(entry, Stretch):
                self._live.tell(stall_of(entry, threshold), pid, time.monotonic())
            else:
                self._live.tell_slow(entry, pid, time.monotonic())

    def _say(self, text: str) -> None:
        if not self._mute:  # if nobody reads it, the command goes on all the same
            self._mute = not complain(text)


def in_a_sentence(report: Report, code: int) -> str | None:
    """What a run comes to that has next to nothing to say, as of a server whose port is taken."""
    watched_ms = report.coverage.get("watched_ms", 0)
    if report.verdict is Verdict.FINDINGS or report.coverage.get("requests", 0):
        return None
    watched = f"{watched_ms / 1e3:.1f} s"
    judged = report.verdict is Verdict.CLEAN
    head = "no stall to report" if judged else "too little was watched to judge"
    if 0 < code < 128 and watched_ms < _AT_ONCE_MS:
        return (
            f"{head}: the command ended with exit code {code} after {watched} of an event loop; "
            "what it wrote says why"
        )
    return None if judged else f"{head}: {watched} of an event loop, and no request"
