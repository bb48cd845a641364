"""The scanner against the parser, on texts that a fuzzer makes by looking at what the scanner does with them.

    pip install atheris
    python tests/guard/fuzz_json_scan.py -max_total_time=300 -max_len=4096

It ends at the first text that is judged wrongly, and writes it to a file. It is no part of the test suite,
whose own texts are made by Hypothesis.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script

with atheris.instrument_imports(include=["unstall.guard.json_scan", "unstall.guard.json_records"]):
    from unstall.guard.json_scan import JsonLimits, JsonScan

from tests.guard.json_oracle import exceeded

LIMITS = (JsonLimits(depth=3, items=6, string=8, number=5), JsonLimits())


def judge(given: bytes) -> None:
    """The first byte says how the text is cut, the rest is the text. Raises AssertionError."""
    part, text = max(1, given[0]) if given else 1, given[1:]
    try:
        json.loads(text)
        valid = True
    except (ValueError, RecursionError):
        valid = False
    for limits in LIMITS:
        scan = JsonScan(limits)
        found = None
        for at in range(0, len(text), part):
            found = found or scan.feed(text[at : at + part])
        found = found or scan.end()
        if valid and found is None:
            assert exceeded(text, limits) == set(), (text, limits)
        elif valid and found is not None and found.limit != "encoding":
            assert found.limit in exceeded(text, limits), (text, limits, found)


if __name__ == "__main__":
    atheris.Setup(sys.argv, judge)
    atheris.Fuzz()
