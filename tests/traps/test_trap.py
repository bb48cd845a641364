"""What a trap promises: it catches, changes nothing, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import ctypes
import re
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import unstall
from tests.support.trapped import ROOT, codes, trapped
from tests.support.trapped import made as trap
from tests.traps import works
from unstall.errors import BlockingCallError, TargetError, UsageError
from unstall.traps.canary import proven
from unstall.traps.trap import Trap
from unstall.watch.audit import Audit
from unstall.watch.monitor import Monitor


def module(folder: Path, source: str) -> ModuleType:
    """An application of one file."""
    file = folder / "shop.py"
    file.write_text(textwrap.dedent(source))
    spec = util.spec_from_file_location("shop", file)
    assert spec is not None
    assert spec.loader is not None
    made = util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


# --- it catches, and changes nothing ----------------------------------------------------------------


def test_what_the_code_raises_and_returns_comes_back_as_it_is() -> None:
    async def fails() -> None:
        await works.nap()
        raise KeyError("price")

    with pytest.raises(KeyError, match="price"), trap() as caught:
        asyncio.run(fails())
    assert codes(caught.findings) == ["US101"]
    assert (works.FOLDER / "new").exists() or codes(trapped(works.write_file)) == ["US106"]


def test_it_can_be_opened_and_closed_on_the_loop_itself() -> None:
    async def main() -> Trap:
        async with trap() as caught:
            await works.nap()
        await works.nap()
        return caught

    assert [f.evidence[0].count for f in asyncio.run(main()).findings] == [1]


def test_what_it_has_caught_so_far_can_be_asked_while_it_is_open() -> None:
    async def main() -> None:
        assert caught.findings == ()
        await works.nap()
        assert codes(caught.findings) == ["US101"]

    with trap() as caught:
        asyncio.run(main())


def test_without_a_loop_nothing_is_caught() -> None:
    with trap() as caught:
        time.sleep(0.0001)
        (works.FOLDER / "plain").write_text("x")
        works.BASE.execute("select 1")
    assert caught.findings == ()


def test_opened_in_a_thread_without_a_loop_it_sees_the_loops_of_others() -> None:
    opened, done = threading.Event(), threading.Event()
    findings: list[str] = []

    def watch() -> None:
        with trap() as caught:
            opened.set()
            done.wait()
        findings.extend(codes(caught.findings))

    thread = threading.Thread(target=watch)
    thread.start()
    opened.wait()
    asyncio.run(works.nap())
    done.set()
    thread.join()
    assert findings == ["US101"]


def test_a_loop_in_a_thread_is_seen() -> None:
    with trap() as caught:
        thread = threading.Thread(target=lambda: asyncio.run(works.nap()))
        thread.start()
        thread.join()
    assert codes(caught.findings) == ["US101"]


def test_of_nested_traps_the_inner_one_catches() -> None:
    async def main() -> None:
        await works.stat_file()
        with inner:
            await works.nap()

    inner = trap()
    with trap() as outer:
        asyncio.run(main())
    assert codes(inner.findings) == ["US101"]
    assert codes(outer.findings) == ["US106"]


def test_each_thread_with_a_trap_of_its_own_catches_what_it_does_itself() -> None:
    both = threading.Barrier(2, timeout=20)
    caught: dict[str, list[str]] = {}

    def watch(work: Callable[[], Any]) -> None:
        async def main() -> None:
            both.wait()
            done = work()
            if asyncio.iscoroutine(done):
                await done
            both.wait()

        with trap(ignore=["US109"]) as mine:
            asyncio.run(main())
            both.wait()
        caught[work.__name__] = codes(mine.findings)

    threads = [
        threading.Thread(target=watch, args=(each,)) for each in (works.nap, works.read_file)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert caught == {"nap": ["US101"], "read_file": ["US106"]}


def test_a_site_that_is_passed_again_is_one_finding_that_counts() -> None:
    async def main() -> None:
        for _ in range(3):
            await works.nap()

    (finding,) = trapped(main)
    assert finding.evidence[0].count == 3
    assert finding.evidence[0].max_ms is not None


def test_all_that_one_call_does_below_is_one_finding() -> None:
    (finding,) = trapped(works.copy_file)
    assert finding.site is not None
    assert finding.site.call == "shutil.copyfile"


def test_first_loads_are_warned_of_and_fail_nobody(tmp_path: Path) -> None:
    shop = module(tmp_path, "def export():\n    import this_is_large\n    return this_is_large\n")
    (tmp_path / "this_is_large.py").write_text("TABLE = [1]\n")
    sys.path.insert(0, str(tmp_path))
    try:
        (finding,) = trapped(shop.export, root=tmp_path)
        again = trapped(shop.export, root=tmp_path)
    finally:
        sys.path.remove(str(tmp_path))
        del sys.modules["this_is_large"]
    assert (finding.code, finding.severity) == ("US112", "warning")
    assert "imports this_is_large" in str(finding.evidence[0].because)
    assert again == ()


def test_a_library_that_the_loop_calls_itself_is_believed_of_a_sleep(tmp_path: Path) -> None:
    installed = tmp_path / "site-packages"
    installed.mkdir()
    acme = module(installed, "import time\n\nasync def nap():\n    time.sleep(0.0001)\n")
    with trap(root=tmp_path) as caught:
        asyncio.run(acme.nap())
    (finding,) = caught.findings
    assert finding.code == "US101"
    assert finding.site is not None
    assert finding.site.file.endswith("site-packages/shop.py")


def test_a_step_that_waits_for_what_no_hook_sees_is_a_gap_and_accuses_nobody() -> None:
    wait = ctypes.CDLL(None).usleep

    async def waits() -> None:
        wait(20_000)

    with trap() as caught:
        asyncio.run(waits())
    assert caught.findings == ()
    (gap,) = [each for each in caught.gaps if "step" in each]
    assert re.match(r"a step of task .*waits waited [0-9.]+ ms for something that no hook saw", gap)


def test_a_step_whose_wait_was_seen_is_no_gap() -> None:
    async def main() -> None:
        time.sleep(0.02)
        with unstall.allow("and so is one that is allowed"):
            time.sleep(0.02)

    with trap() as caught:
        asyncio.run(main())
    assert caught.gaps == ()


# --- strict -----------------------------------------------------------------------------------------


def test_a_strict_trap_records_first_and_then_raises_at_the_call(tmp_path: Path) -> None:
    shop = module(
        tmp_path,
        """
        from pathlib import Path

        def save(folder):
            try:
                Path(folder, "order").write_text("x")
            except Exception as error:
                return error
        """,
    )
    raised: list[Exception] = []
    findings = trapped(lambda: raised.append(shop.save(tmp_path)), root=tmp_path, strict=True)
    assert codes(findings) == ["US106"]
    assert not (tmp_path / "order").exists()
    (error,) = raised
    assert isinstance(error, BlockingCallError)
    assert "shop.py:6 in save calls pathlib" in str(error)


@pytest.mark.parametrize("work", [works.nap, works.wait_for_event, works.ask_database])
def test_every_kind_of_hook_refuses(work: Callable[[], Any]) -> None:
    if work is works.ask_database and sys.version_info < (3, 12):
        pytest.skip("a statement under way cannot be refused by its trace")
    with pytest.raises(BlockingCallError), trap(strict=True):
        asyncio.run(work())


def test_a_strict_trap_lets_pass_what_is_no_error() -> None:
    assert codes(trapped(works.stat_file, strict=True)) == ["US106"]
    assert codes(trapped(works.nap, strict=True, ignore=["US101"])) == []


# --- what may block ---------------------------------------------------------------------------------


@pytest.mark.parametrize("ignore", ["US101", "US1", "us101", "time.sleep", "time.*"])
def test_rules_and_calls_can_be_ignored(ignore: str) -> None:
    assert trapped(works.nap, ignore=[ignore]) == ()
    assert codes(trapped(works.stat_file, ignore=["US101"])) == ["US106"]


@pytest.mark.parametrize(
    ("ignore", "said"),
    [
        ("US101", "give a list"),
        (["US999"], "no rule's code begins so"),
        ([None], "give a list of codes and names"),
        ([""], "give a list of codes and names"),
        (5, "give a list of codes and names"),
    ],
)
def test_what_cannot_be_ignored_is_said(ignore: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        unstall.trap(ignore=ignore)


def test_a_name_may_begin_as_a_code_does() -> None:
    assert codes(trapped(works.nap, ignore=["USER*", "usb.read"])) == ["US101"]


@pytest.mark.parametrize("threshold_ms", ["5", -1, float("nan"), float("inf"), True])
def test_a_threshold_that_makes_no_sense_is_said(threshold_ms: Any) -> None:
    with pytest.raises(UsageError, match=r"threshold_ms is .*give milliseconds"):
        unstall.trap(threshold_ms=threshold_ms)


def test_the_root_may_be_a_text() -> None:
    assert unstall.trap(root=str(ROOT)).root == ROOT  # type: ignore[arg-type]


def test_a_region_is_allowed_and_what_follows_is_not() -> None:
    async def main() -> None:
        with unstall.allow("it is one number"):
            await works.nap()
            await asyncio.create_task(works.stat_file())
        await works.read_file()

    assert [f.site.function for f in trapped(main) if f.site] == ["read_file"]


def test_a_region_is_not_that_of_other_tasks() -> None:
    async def other() -> None:
        await asyncio.sleep(0)
        await works.nap()

    async def main() -> None:
        task = asyncio.create_task(other())
        with unstall.allow("mine alone"):
            await asyncio.sleep(0.01)
        await task

    assert codes(trapped(main)) == ["US101"]


@pytest.mark.parametrize("reason", ["", " ", None])
def test_a_region_needs_a_reason(reason: Any) -> None:
    with pytest.raises(UsageError, match="say why it may block"):
        unstall.allow(reason)


WAIVED = """
import time

def nap():
    time.sleep(0.0001)  # unstall: ignore[US101] {reason}
"""


def test_a_comment_with_a_reason_waives(tmp_path: Path) -> None:
    shop = module(tmp_path, WAIVED.format(reason="a tenth of a millisecond, once a day"))
    assert trapped(shop.nap, root=tmp_path) == ()
    assert trapped(shop.nap, root=tmp_path, strict=True) == ()


def test_a_comment_without_a_reason_waives_nothing_and_is_told_of(tmp_path: Path) -> None:
    shop = module(tmp_path, WAIVED.format(reason=""))
    with trap(root=tmp_path) as caught:

        async def main() -> None:
            shop.nap()

        asyncio.run(main())
    assert codes(caught.findings) == ["US101"]
    assert "shop.py:5: a waiver needs a reason" in caught.gaps[0]


def test_the_project_file_says_what_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.unstall.trap]\nignore = ["US101"]\n')
    shop = module(tmp_path, WAIVED.format(reason=""))
    assert trapped(shop.nap, root=tmp_path) == ()


# --- it leaves nothing behind -----------------------------------------------------------------------


def test_everything_is_put_back_when_the_last_trap_closes() -> None:
    before = time.sleep
    first, second = trap(), trap()
    with first:
        with second:
            assert time.sleep is not before
        assert time.sleep is not before
    assert time.sleep is before


def test_it_is_entered_once() -> None:
    caught = trap()
    with caught:
        pass
    with pytest.raises(UsageError, match="entered twice"):
        caught.__enter__()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc")
def test_threads_that_ran_a_loop_leave_no_file_open() -> None:
    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    def run() -> None:
        asyncio.run(works.nap())
        asyncio.run(works.nap_well())

    with trap():
        run()
        before = opened()
        for _ in range(20):
            thread = threading.Thread(target=run)
            thread.start()
            thread.join()
        assert opened() <= before + 2


def test_on_a_loop_its_end_does_not_hold_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[float] = []
    settle = Monitor.settle

    def noted(monitor: Monitor, seconds: float) -> bool:
        held.append(seconds)
        return settle(monitor, seconds)

    monkeypatch.setattr(Monitor, "settle", noted)

    async def main() -> None:
        async with trap(threshold_ms=200):
            await asyncio.sleep(0)
        with trap(threshold_ms=200):
            await asyncio.sleep(0)

    asyncio.run(main())
    assert set(held) == {0}


def test_an_interpreter_without_audit_events_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    made = trap()  # which has been proven
    monkeypatch.delattr(sys, "addaudithook")
    monkeypatch.setattr("unstall.traps.hooks.AUDIT", Audit())
    with made as caught:
        asyncio.run(works.nap())
    assert codes(caught.findings) == ["US101"]
    assert caught.gaps == ("audit events: this interpreter has none, so no file or name is seen",)


def test_a_trap_that_is_blind_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sys, "addaudithook")
    monkeypatch.setattr("unstall.traps.hooks.AUDIT", Audit())
    proven.cache_clear()
    with pytest.raises(TargetError, match="the trap is not armed"):
        trap()
