"""A lane of processes: the only hard deadline."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import anyio
import pytest

from tests.lanes import work
from tests.lanes.work import eventually
from unstall import Lane, LaneDeadline
from unstall.errors import LaneBroken, LaneError, UsageError
from unstall.lanes import child

ROOT = Path(__file__).parents[2]


@pytest.fixture
def lane() -> Iterator[Lane]:
    with Lane("pdf", processes=1) as lane:
        yield lane


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def dead(pid: int) -> bool:
    """Or gone. A process is dead when the last of its threads is, and its first one waits for them."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state == "Z" and len(list(Path(f"/proc/{pid}/task").iterdir())) == 1
    except OSError:
        return True


def test_work_is_done_in_another_process_that_stays_warm(lane: Lane) -> None:
    async def main() -> None:
        first = await lane.run(work.pid)
        assert first != os.getpid()
        assert await lane.run(work.pid) == first
        assert await lane.run(work.double, 21) == 42

    asyncio.run(main())


def test_a_large_argument_and_a_large_answer_pass(lane: Lane) -> None:
    async def main() -> None:
        assert await lane.run(bytes.upper, b"a" * 5_000_000) == b"A" * 5_000_000

    asyncio.run(main())


def test_a_deadline_ends_the_process_and_replaces_it() -> None:
    async def main() -> None:
        with Lane("pdf", processes=1, queue=2, deadline=20) as lane:
            first = await lane.run(work.pid)
            with Lane("impatient", processes=1, deadline=0.3) as impatient:
                await impatient.warm()
                doomed = await impatient.run(work.pid)
                with pytest.raises(LaneDeadline, match="its process was ended"):
                    await impatient.run(work.spin, 60)
                assert eventually(lambda: not alive(doomed))
                assert not impatient.statistics().stuck
                assert eventually(lambda: impatient.reading().held == 0)
                await impatient.warm()  # a new process takes its time to start
                again = await impatient.run(work.pid)
                assert again != doomed
                assert impatient.statistics().abandoned == ()
            assert await lane.run(work.pid) == first

    asyncio.run(main())


def test_those_who_wait_behind_a_call_that_is_ended_are_served() -> None:
    async def main() -> None:
        with Lane("pdf", processes=1, queue=5) as lane:
            await lane.warm()
            task = asyncio.create_task(lane.run(work.doze, 60))
            while not lane.reading().held:
                await anyio.sleep(0.001)
            after = asyncio.create_task(lane.run(work.double, 2))
            await anyio.sleep(0.05)
            task.cancel()
            assert await after == 4
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())


@pytest.mark.parametrize(
    ("ends", "says"),
    [
        ((work.die,), "was ended by SIGKILL while it ran tests.lanes.work:die"),
        ((work.quit_with, 7), "ended with exit code 7 while it ran"),
    ],
)
def test_a_process_that_dies_says_how_and_is_replaced(
    lane: Lane, ends: tuple[object, ...], says: str
) -> None:
    async def main() -> None:
        with pytest.raises(LaneBroken, match=says) as broken:
            await lane.run(*ends)  # type: ignore[arg-type]
        assert broken.value.lane == "pdf"
        assert await lane.run(work.double, 2) == 4

    asyncio.run(main())


def test_an_idle_process_that_was_killed_is_replaced_before_anybody_notices(lane: Lane) -> None:
    async def main() -> None:
        pid = await lane.run(work.pid)
        os.kill(pid, 9)
        assert eventually(lambda: dead(pid))
        assert await lane.run(work.pid) != pid

    if not Path("/proc/self/stat").exists():
        pytest.skip("needs /proc")
    asyncio.run(main())


def test_an_error_comes_back_as_it_was_with_the_trace_of_the_process(lane: Lane) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="broken") as caught:
            await lane.run(work.fail, "broken")
        assert "in fail" in str(caught.value.__cause__)

    asyncio.run(main())


def test_an_error_that_cannot_be_pickled_is_told(lane: Lane) -> None:
    async def main() -> None:
        with pytest.raises(LaneBroken, match="raised Odd: 1 and 2"):
            await lane.run(work.odd)

    asyncio.run(main())


def test_an_answer_that_cannot_be_pickled_is_told(lane: Lane) -> None:
    async def main() -> None:
        with pytest.raises(LaneBroken, match="returned in the lane 'pdf' cannot be pickled"):
            await lane.run(work.unpicklable)

    asyncio.run(main())


def test_a_function_that_cannot_be_pickled_is_refused_with_the_way_out(lane: Lane) -> None:
    async def main() -> None:
        with pytest.raises(UsageError, match=r"cannot be pickled .*: give a function of a module"):
            await lane.run(lambda: 1)
        with pytest.raises(UsageError, match="cannot be pickled"):
            await lane.run(repr, lane)
        assert await lane.run(work.double, 3) == 6

    asyncio.run(main())


def test_what_the_work_prints_and_reads_does_not_disturb_its_answers(lane: Lane) -> None:
    async def main() -> None:
        assert await lane.run(work.shout) == ""
        assert await lane.run(work.double, 3) == 6

    asyncio.run(main())


def test_an_interrupt_from_the_terminal_is_the_parents_to_hear(lane: Lane) -> None:
    async def main() -> None:
        assert await lane.run(work.ignores_interrupt)

    asyncio.run(main())


def test_a_warm_process_has_imported_what_it_will_need() -> None:
    async def main() -> None:
        with Lane("pdf", processes=1) as lane:
            await lane.warm(textwrap.dedent)
            assert await lane.run(work.imported, "textwrap")

    asyncio.run(main())


def test_no_process_outlives_a_closed_lane() -> None:
    async def main() -> int:
        with Lane("pdf", processes=1) as lane:
            return await lane.run(work.pid)

    pid = asyncio.run(main())
    assert eventually(lambda: not alive(pid))


def run_script(program: str) -> list[int]:
    """The numbers that it prints."""
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=60, check=True,
    )  # fmt: skip
    return [int(number) for number in ran.stdout.split()]


def test_a_process_ends_with_its_parent_even_in_the_middle_of_a_call() -> None:
    program = """
        import asyncio, os
        from tests.lanes import work
        from unstall import Lane

        async def main():
            lane = Lane("pdf", processes=1)
            print(await lane.run(work.pid), flush=True)
            task = asyncio.create_task(lane.run(work.spin, 60))
            await asyncio.sleep(0.3)
            os._exit(0)

        asyncio.run(main())
    """
    (pid,) = run_script(program)
    assert eventually(lambda: not alive(pid))


def test_a_process_whose_answer_nobody_takes_ends_without_a_word() -> None:
    requests_out, requests = os.pipe()
    answers, answers_in = os.pipe()
    process = subprocess.Popen(
        [sys.executable, child.__file__],
        stdin=requests_out, stdout=answers_in, stderr=subprocess.PIPE,
    )  # fmt: skip
    os.close(requests_out)
    os.close(answers_in)
    child.write(requests, pickle.dumps((sys.path, sys.argv, None, [])))
    assert child.read(answers) == b""
    os.close(answers)
    child.write(requests, pickle.dumps((bytes, (5,), {})))
    _, said = process.communicate(timeout=30)
    os.close(requests)
    assert (process.returncode, said) == (0, b"")


def test_processes_of_a_parent_that_is_killed_end_without_a_word() -> None:
    program = """
        import asyncio, os, signal, time
        from unstall import Lane
        from unstall.lanes import child

        async def main():
            lane = Lane("pdf", processes=2)
            await lane.warm()
            child.read = lambda fd: time.sleep(60)  # nobody takes their answers
            for _ in range(2):
                asyncio.create_task(lane.run(bytes, 3_000_000))  # more than is in a pipe at once
            await asyncio.sleep(0.2)
            os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main())
    """
    for _ in range(2):
        ran = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)],
            cwd=ROOT, stderr=subprocess.PIPE, timeout=30, check=False,
        )  # fmt: skip
        assert (ran.returncode, ran.stderr) == (-9, b"")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_process_ends_with_its_parent_though_a_forked_sibling_lives() -> None:
    program = """
        import asyncio, os, time, warnings
        from tests.lanes import work
        from unstall import Lane

        warnings.simplefilter("ignore")

        async def main():
            lane = Lane("pdf", processes=1)
            pid = await lane.run(work.pid)
            sibling = os.fork()
            if sibling == 0:
                os.close(1)
                time.sleep(60)
                os._exit(0)
            print(pid, sibling, flush=True)
            os._exit(0)

        asyncio.run(main())
    """
    pid, sibling = run_script(program)
    try:
        assert eventually(lambda: not alive(pid))
        assert alive(sibling)
    finally:
        os.kill(sibling, 9)


def test_a_function_of_the_main_module_runs_without_the_main_module_running_twice(
    tmp_path: Path,
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import asyncio, os, sys
            from unstall import Lane

            print("main runs as", __name__, file=sys.stderr)
            lane = Lane("pdf", processes=1)

            def work(number):
                return 2 * number

            @lane.wrap
            def wrapped(number):
                return 3 * number

            async def main():
                print(await lane.run(len, "four"), file=sys.stderr)
                print("only now is it needed", file=sys.stderr)
                print(await lane.run(work, 5), await wrapped(5), file=sys.stderr)

            if __name__ == "__main__":
                asyncio.run(main())
            """
        )
    )
    ran = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stderr.splitlines() == [
        "main runs as __main__",
        "4",
        "only now is it needed",
        "main runs as __mp_main__",
        "10 15",
    ]


def test_a_wrapped_function_reaches_the_process_under_its_own_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pages.py").write_text(
        textwrap.dedent(
            """
            import os
            from unstall import Lane

            lane = Lane("pdf", processes=1)

            @lane.wrap
            def render(page):
                return page, os.getpid()
            """
        )
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import importlib

    pages: ModuleType = importlib.import_module("pages")
    monkeypatch.setitem(sys.modules, "pages", pages)

    async def main() -> None:
        page, pid = await pages.render("cover")
        assert (page, pid != os.getpid()) == ("cover", True)

    asyncio.run(main())
    pages.lane.close()


def test_an_interpreter_that_cannot_be_started_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    async def main() -> None:
        with Lane("pdf", processes=1) as lane:
            with pytest.raises(LaneBroken, match=r"could not be started \(.*/nowhere/python"):
                await lane.run(work.double, 1)
            monkeypatch.undo()
            assert await lane.run(work.double, 1) == 2

    asyncio.run(main())


def test_the_loop_is_free_while_processes_compute() -> None:
    async def main() -> int:
        turns = 0
        with Lane("cpu", processes=1, queue=4) as lane:
            await lane.warm(work.spin)
            tasks = [asyncio.create_task(lane.run(work.spin, 0.2)) for _ in range(2)]
            while not all(task.done() for task in tasks):
                await asyncio.sleep(0.005)
                turns += 1
            assert min(await asyncio.gather(*tasks)) > 0
        return turns

    assert asyncio.run(main()) >= 10


def test_threads_are_asked_for_what_processes_cannot_do(lane: Lane) -> None:
    with pytest.raises(
        UsageError, match=r"lane\.iterate needs threads, and the lane 'pdf' has processes"
    ):
        lane.iterate([1])


def test_an_error_of_a_lane_crosses_processes_whole() -> None:
    for error in (LaneDeadline("late", "pdf", 3.0), LaneError("bad", "pdf", 2.0)):
        back = pickle.loads(pickle.dumps(error))
        assert (type(back), str(back), back.lane, back.retry_after) == (
            type(error), str(error), error.lane, error.retry_after,
        )  # fmt: skip
