"""Real suites under the plugin, each in a process of its own."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from tests.support.suites import PLUGIN, run_suite

pytestmark = pytest.mark.live

SUITE = """
    import time

    import httpx
    import pytest
    from fastapi.testclient import TestClient
    from shop import app

    client = TestClient(app)


    @pytest.fixture
    def anyio_backend():
        return "asyncio"


    def test_client():
        assert client.get("/orders/3").status_code == 200


    def test_fine():
        assert client.get("/fine").status_code == 200


    def test_threads():
        assert client.get("/threads").status_code == 200


    def test_without_a_loop():
        time.sleep(0.001)


    @pytest.mark.anyio
    async def test_transport():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            assert (await client.get("/orders/3")).status_code == 200


    @pytest.mark.anyio
    async def test_coroutine():
        time.sleep(0.0001)
"""
ANYIO = ("anyio.pytest_plugin",)


def test_each_test_that_blocks_a_loop_fails_with_line_route_chain_and_remedy(
    tmp_path: Path,
) -> None:
    ran = run_suite(tmp_path, SUITE, "--unstall", plugins=ANYIO)
    assert ran.code == 1
    assert ran.counts() == "3 failed, 3 passed"
    assert "the event loop was blocked: a call that can freeze it in production" in ran.out
    assert "US103  a synchronous database call on the event loop" in ran.out
    assert "site      shop.py:17 in load, calling" in ran.out
    assert "entry     route GET /orders/{number} (shop:orders)" in ran.out
    assert "reach     shop.py:13 in orders" in ran.out
    assert "remedy    use the driver's asynchronous twin" in ran.out
    assert "error US103 shop.py:17 calls" in ran.out
    assert "(2 tests)" in ran.out
    assert "calls time.sleep (test_shop.py::test_coroutine)" in ran.out


def test_pytest_finds_the_plugin_by_its_entry_point() -> None:
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    declared = tomllib.loads(project.read_text())["project"]["entry-points"]["pytest11"]
    assert declared == {"unstall": PLUGIN}


def test_nobody_asked_and_nothing_happens(tmp_path: Path) -> None:
    ran = run_suite(tmp_path, SUITE, plugins=ANYIO)
    assert ran.counts() == "6 passed"
    assert "unstall" not in ran.out


def test_the_configuration_can_ask_and_a_flag_is_not_needed(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nunstall = true\nunstall_ignore = US103 time.sleep\n"
    )
    assert run_suite(tmp_path, SUITE, plugins=ANYIO).counts() == "6 passed"


def test_the_project_file_counts_as_well(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.unstall.trap]\nignore = ["US1"]\n')
    assert run_suite(tmp_path, SUITE, "--unstall", plugins=ANYIO).counts() == "6 passed"


def test_workers_of_xdist_tell_the_controller(tmp_path: Path) -> None:
    written = tmp_path / "found.json"
    ran = run_suite(
        tmp_path, SUITE, "--unstall", "-n", "2", f"--unstall-json={written}",
        plugins=(*ANYIO, "xdist"),
    )  # fmt: skip
    assert ran.counts() == "3 failed, 3 passed"
    assert "(2 tests)" in ran.out
    found = json.loads(written.read_text())
    assert sorted(each["code"] for each in found["findings"]) == ["US101", "US103"]


def test_pytest_asyncio_is_followed(tmp_path: Path) -> None:
    pytest.importorskip("pytest_asyncio")
    source = """
        import time
        import pytest

        @pytest.mark.asyncio
        async def test_naps():
            time.sleep(0.0001)

        @pytest.mark.asyncio
        async def test_fine():
            pass
    """
    ran = run_suite(tmp_path, source, "--unstall", plugins=("pytest_asyncio.plugin",))
    assert ran.counts() == "1 failed, 1 passed"


MARKED = """
    import time
    import asyncio
    import pytest
    from fastapi.testclient import TestClient
    from shop import app

    client = TestClient(app)

    @pytest.fixture
    def made():
        asyncio.run(nap())
        yield
        asyncio.run(nap())

    async def nap():
        time.sleep(0.0001)

    @pytest.mark.unstall
    def test_marked():
        client.get("/orders/3")

    @pytest.mark.unstall(ignore="US103")
    def test_ignoring():
        client.get("/orders/3")

    @pytest.mark.unstall(strict=True)
    def test_strict():
        asyncio.run(nap())

    def test_unmarked():
        client.get("/orders/3")

    @pytest.mark.no_unstall
    @pytest.mark.unstall
    def test_refused():
        client.get("/orders/3")

    def test_fixture(unstall):
        client.get("/orders/3")
        assert [each.code for each in unstall.findings] == ["US103"]

    @pytest.mark.unstall
    def test_fixtures_are_not_looked_at(made):
        pass

    @pytest.mark.unstall
    def test_an_inner_trap_catches_what_is_expected():
        import unstall
        with unstall.trap() as caught:
            client.get("/orders/3")
        assert caught.findings
"""


def test_markers_and_the_fixture_choose_tests(tmp_path: Path) -> None:
    ran = run_suite(tmp_path, MARKED, "-rfE")
    failed = [line.split()[1] for line in ran.out.splitlines() if line.startswith("FAILED")]
    assert failed == [f"test_shop.py::test_{name}" for name in ("marked", "strict", "fixture")]
    assert ran.counts() == "3 failed, 5 passed"
    assert "BlockingCallError: test_shop.py:17 in nap calls time.sleep" in ran.out


def test_a_test_that_fails_by_itself_stays_so_and_says_what_blocked(tmp_path: Path) -> None:
    source = """
        from fastapi.testclient import TestClient
        from shop import app

        def test_fails():
            TestClient(app).get("/orders/3")
            assert 1 == 2
    """
    ran = run_suite(tmp_path, source, "--unstall")
    assert "assert 1 == 2" in ran.out
    assert "- unstall -" in ran.out
    assert "US103  a synchronous database call" in ran.out


def test_warnings_and_notes_are_told_of_and_fail_nothing(tmp_path: Path) -> None:
    (tmp_path / "lazy.py").write_text(
        "import asyncio, os\nasync def first():\n    import this_is_large\n    os.stat('lazy.py')\n"
    )
    (tmp_path / "this_is_large.py").write_text("")
    source = """
        import asyncio
        import lazy

        def test_first():
            asyncio.run(lazy.first())
    """
    ran = run_suite(tmp_path, source, "--unstall")
    assert ran.counts() == "1 passed"
    assert "warning US112 lazy.py:3 calls import" in ran.out
    assert "note US106 lazy.py:4 calls os.stat" in ran.out


def test_the_baseline_is_a_ratchet(tmp_path: Path) -> None:
    known = tmp_path / "known.json"
    chosen = ("--unstall", f"--unstall-baseline={known}")
    first = run_suite(tmp_path, SUITE, *chosen, "--unstall-update-baseline", plugins=ANYIO)
    assert first.counts() == "6 passed"
    codes = [each["code"] for each in json.loads(known.read_text())["findings"]]
    assert sorted(codes) == ["US101", "US103"]
    assert run_suite(tmp_path, SUITE, *chosen, plugins=ANYIO).counts() == "6 passed"
    some = run_suite(
        tmp_path, SUITE, *chosen, "--unstall-update-baseline", "-k", "client", plugins=ANYIO
    )
    assert some.counts() == "1 passed, 5 deselected"
    assert len(json.loads(known.read_text())["findings"]) == 2
    more = SUITE + "\n\n    def test_more():\n        import asyncio\n        asyncio.run(nap())\n"
    more += "\n\n    async def nap():\n        time.sleep(0.0001)\n"
    assert run_suite(tmp_path, more, *chosen, plugins=ANYIO).counts() == "1 failed, 6 passed"


def test_all_findings_are_written_as_sarif(tmp_path: Path) -> None:
    written = tmp_path / "found.sarif"
    run_suite(tmp_path, SUITE, "--unstall", f"--unstall-sarif={written}", plugins=ANYIO)
    (run,) = json.loads(written.read_text())["runs"]
    assert sorted(each["ruleId"] for each in run["results"]) == ["US101", "US103"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--unstall-update-baseline",), "has no file to write: name one with --unstall-baseline"),
        (("--unstall-baseline=no.json",), "the baseline"),
        (
            ("-o", "unstall_threshold_ms=fast"),
            "unstall_threshold_ms is 'fast', which is not a number",
        ),
        (("-o", "unstall_ignore=US999"), "ERROR: unstall_ignore names 'US999', and no rule's code"),
        (("--unstall-baseline=no.json",), "make it with --unstall-update-baseline"),
        (("--unstall-json=no/found.json",), "--unstall-json no/found.json cannot be written"),
        (("--unstall-sarif=no/found.json",), "--unstall-sarif no/found.json cannot be written"),
        (
            ("--unstall-baseline=no/known.json", "--unstall-update-baseline"),
            "known.json cannot be written",
        ),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence(
    tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    ran = run_suite(tmp_path, "def test_nothing():\n    pass\n", "--unstall", *options)
    assert ran.code != 0
    assert said in ran.out
    assert "Traceback" not in ran.out


def test_a_marker_with_a_word_it_does_not_know_is_said(tmp_path: Path) -> None:
    source = "import pytest\n\n@pytest.mark.unstall(limit=3)\ndef test_nothing():\n    pass\n"
    ran = run_suite(tmp_path, source)
    assert "ERROR: the marker unstall of test_shop.py::test_nothing has limit: it takes" in ran.out
    assert "Traceback" not in ran.out


def test_a_trap_that_is_not_armed_fails_loudly(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("")
    (tmp_path / "blind.py").write_text("import sys\nsys.addaudithook = lambda hook: None\n")
    ran = run_suite(tmp_path, "def test_nothing():\n    pass\n", "--unstall", plugins=("blind",))
    assert ran.code != 0
    assert "the trap is not armed" in ran.out
    assert "showed it no audit events" in ran.out


# --- the baseline ----------------------------------------------------------------------------------

THREE = """
    import asyncio
    import os
    import time


    async def one():
        time.sleep(0.0001)


    async def two():
        time.sleep(0.0001)


    def test_one():
        asyncio.run(one())


    def test_bad():
        if "BAD" in os.environ:
            raise {"E": AssertionError, "K": KeyboardInterrupt}[os.environ["BAD"]]


    def test_two():
        asyncio.run(two())
"""


def known_in(file: Path) -> dict[str, int]:
    return {each["function"]: each["count"] for each in json.loads(file.read_text())["findings"]}


@pytest.mark.parametrize(
    ("bad", "options", "plugins"),
    [
        ("E", ("-x",), ()),
        ("K", (), ()),
        ("", ("-n2", "-k", "one"), ("xdist",)),
        ("", ("--ignore=test_shop.py",), ()),
        ("", ("--collect-only",), ()),
        ("", ("test_shop.py::test_one",), ()),
        ("", ("--continue-on-collection-errors", "-o", "python_files=*_shop.py broken.py"), ()),
    ],
)
def test_a_run_that_did_not_see_all_forgets_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bad: str,
    options: tuple[str, ...],
    plugins: tuple[str, ...],
) -> None:
    known = tmp_path / "known.json"
    update = ("--unstall", f"--unstall-baseline={known}", "--unstall-update-baseline")
    run_suite(tmp_path, THREE, *update)
    assert known_in(known) == {"one": 1, "two": 1}
    if bad:
        monkeypatch.setenv("BAD", bad)
    (tmp_path / "broken.py").write_text("import not_there\n")
    source = THREE.replace("asyncio.run(two())", "pass") if "broken.py" in str(options) else THREE
    run_suite(tmp_path, source, *update, *options, plugins=plugins)
    assert known_in(known) == {"one": 1, "two": 1}


@pytest.mark.parametrize("parallel", [(), ("-n2",)])
def test_a_run_that_saw_all_drops_what_is_gone(tmp_path: Path, parallel: tuple[str, ...]) -> None:
    known = tmp_path / "known.json"
    update = ("--unstall", f"--unstall-baseline={known}", "--unstall-update-baseline", *parallel)
    plugins = ("xdist",) if parallel else ()
    run_suite(tmp_path, THREE, *update, plugins=plugins)
    assert known_in(known) == {"one": 1, "two": 1}
    run_suite(tmp_path, THREE.replace("asyncio.run(two())", "pass"), *update, plugins=plugins)
    assert known_in(known) == {"one": 1}


def test_a_twin_of_a_known_call_is_new(tmp_path: Path) -> None:
    known = tmp_path / "known.json"
    chosen = ("--unstall", f"--unstall-baseline={known}")
    run_suite(tmp_path, THREE, *chosen, "--unstall-update-baseline")
    moved = THREE.replace("async def one():", "async def one():\n        await asyncio.sleep(0)")
    assert run_suite(tmp_path, moved, *chosen).counts() == "3 passed"
    twice = moved.replace("sleep(0)", "sleep(0)\n        time.sleep(0.0001)")
    ran = run_suite(tmp_path, twice, *chosen)
    assert ran.counts() == "1 failed, 2 passed"
    run_suite(tmp_path, twice, *chosen, "--unstall-update-baseline")
    assert known_in(known) == {"one": 2, "two": 1}
    assert run_suite(tmp_path, twice, *chosen).counts() == "3 passed"


def test_files_named_on_the_command_line_are_where_it_was_typed(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    here = tmp_path / "sub"
    here.mkdir()
    run_suite(
        here, THREE, "--unstall", "--unstall-baseline=known.json", "--unstall-update-baseline",
        "--unstall-json=found.json",
    )  # fmt: skip
    assert {"known.json", "found.json"} <= {each.name for each in here.iterdir()}


# --- asked by a marker -----------------------------------------------------------------------------

BY_MARKER = """
    import asyncio
    import time
    import pytest


    async def nap():
        time.sleep(0.0001)


    @pytest.mark.unstall
    def test_naps():
        asyncio.run(nap())
"""


@pytest.mark.parametrize("parallel", [(), ("-n2",)])
def test_tests_that_ask_by_a_marker_are_told_of_and_written_down(
    tmp_path: Path, parallel: tuple[str, ...]
) -> None:
    written = tmp_path / "found.json"
    plugins = ("xdist",) if parallel else ()
    ran = run_suite(tmp_path, BY_MARKER, f"--unstall-json={written}", *parallel, plugins=plugins)
    assert [each["code"] for each in json.loads(written.read_text())["findings"]] == ["US101"]
    for each in (ran, run_suite(tmp_path, BY_MARKER, *parallel, plugins=plugins)):
        assert each.counts() == "1 failed"
        assert "error US101 test_shop.py:8 calls time.sleep" in each.out


def test_a_trap_that_a_marker_asks_for_is_proven_as_well(tmp_path: Path) -> None:
    (tmp_path / "blind.py").write_text("import sys\nsys.addaudithook = lambda hook: None\n")
    ran = run_suite(tmp_path, BY_MARKER, plugins=("blind",))
    assert ran.code != 0
    assert "the trap is not armed" in ran.out


def test_a_report_that_cannot_be_written_in_the_end_costs_nothing_but_itself(
    tmp_path: Path,
) -> None:
    source = (
        BY_MARKER + "\n\n    def test_fills():\n        import os\n        os.mkdir('found.json')\n"
    )
    ran = run_suite(tmp_path, source, "--unstall-json=found.json")
    assert ran.counts() == "1 failed, 1 passed"
    assert "error US101 test_shop.py:8 calls time.sleep" in ran.out
    assert "found.json cannot be written (Is a directory)" in ran.out
    fine = source.replace("asyncio.run(nap())", "pass")
    (tmp_path / "found.json").rmdir()
    assert run_suite(tmp_path, fine, "--unstall-json=found.json").code == 4


CASES = """
    import time
    import unittest


    class Orders(unittest.IsolatedAsyncioTestCase):
        async def asyncSetUp(self):
            time.sleep(0.0001)

        async def asyncTearDown(self):
            time.sleep(0.0001)

        async def test_fine(self):
            pass

        async def test_blocks(self):
            time.sleep(0.0001)


    class RunsItself(unittest.IsolatedAsyncioTestCase):
        def run(self, result=None):
            return super().run(result)

        async def test_blocks_too(self):
            time.sleep(0.0001)
"""


def test_of_test_cases_the_method_alone_may_not_block(tmp_path: Path) -> None:
    ran = run_suite(tmp_path, CASES, "--unstall")
    assert ran.counts() == "2 failed, 1 passed"
    assert "in Orders.test_blocks, calling time.sleep" in ran.out
    assert "in RunsItself.test_blocks_too, calling time.sleep" in ran.out
    assert "in asyncSetUp" not in ran.out
