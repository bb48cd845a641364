"""The front: a folder in, a report out, whatever is in the folder."""

from __future__ import annotations

import gc
import shutil
import sysconfig
from pathlib import Path

import pytest

from unstall.audit.audit import audit
from unstall.audit.room import room_to_work
from unstall.model.report import Verdict

SERVICE = """
import requests
from fastapi import Depends, FastAPI
app = FastAPI()

def user():
    return requests.get("a", timeout=2)

@app.get("/slow")
async def slow(thing, user=Depends(user)):
    thing.work()
    return helper()

def helper():
    return requests.get("b")

@app.get("/fast")
def fast():
    return requests.get("c")
"""


@pytest.fixture
def service(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(SERVICE)
    return tmp_path


def test_a_report_names_what_was_found_and_how_much_was_seen(service: Path) -> None:
    report = audit(service, only=frozenset({"US102"}))

    (finding,) = report.findings
    assert (finding.code, finding.site and finding.site.line) == ("US102", 15)
    assert report.verdict is Verdict.FINDINGS
    assert report.coverage["entries"] == 2
    assert report.coverage["unknown_calls"] >= 1


def test_a_path_tells_each_step_and_where_it_runs(service: Path) -> None:
    report = audit(service)
    path = next(p for p in report.paths if p.entry.name == "GET /slow")
    steps = {step.function: step for step in path.steps}

    pooled, endpoint = steps["main:user"], steps["main:slow"]
    assert (pooled.place, pooled.hops) == ("thread pool", 1)
    (held,) = pooled.blocking
    assert (held.place, held.time_out, held.fingerprint) == ("thread pool", "timeout=2", "")
    (blocking,) = endpoint.blocking
    assert (blocking.place, blocking.time_out, blocking.site.call) == (
        "loop",
        "no time-out",
        "requests.get",
    )
    assert [hop.call for hop in blocking.reach] == ["helper"]
    assert blocking.fingerprint in {finding.fingerprint for finding in report.findings}
    assert endpoint.unknown == (
        "main.py:11 thing.work: the class of thing is not known: annotate it",
    )


def test_a_clean_service_has_a_clean_report(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(
        "import requests\ndef f():\n    requests.get('a', timeout=1)\n"
    )

    report = audit(tmp_path)

    assert (report.verdict, report.findings) == (Verdict.CLEAN, ())


def test_what_could_not_be_read_is_a_gap_and_the_rest_is_audited(service: Path) -> None:
    (service / "broken.py").write_text("def broken(:\n")
    (service / "deep.py").write_text("x = " + "[" * 150 + "]" * 150 + "\n")

    report = audit(service, only=frozenset({"US102"}))

    assert any(
        gap.startswith("broken.py was not analysed: this Python cannot") for gap in report.gaps
    )
    assert len(report.findings) == 1


def test_an_empty_folder_is_clean(tmp_path: Path) -> None:
    assert audit(tmp_path).verdict is Verdict.CLEAN


def test_collections_go_on_afterwards() -> None:
    def work() -> None:
        with room_to_work():
            assert not gc.isenabled()
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert gc.isenabled()


@pytest.mark.parametrize("package", ["asyncio", "concurrent", "json", "importlib", "unittest"])
def test_real_code_is_read_without_a_crash(tmp_path: Path, package: str) -> None:
    shutil.copytree(Path(sysconfig.get_path("stdlib")) / package, tmp_path / package)

    report = audit(tmp_path)

    assert report.coverage["functions"] >= 0
