"""Whatever an app does while it is imported, it does no harm, and one sentence says what it was."""

from __future__ import annotations

import ctypes
import os
import socket
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from tests.support.imports import APP, files_below, imported, seen, why, write
from unstall.audit.imported import Imported, Refused
from unstall.audit.imported_child import Limits
from unstall.audit.imported_merge import said
from unstall.audit.imported_read import read
from unstall.errors import UsageError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="apps are not imported there")


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder of ours stays in the system's temporary folder."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


# --- what is refused ------------------------------------------------------------------------

REFUSED = """
    socket.create_connection(("127.0.0.1", 9))
    socket.socket().connect(("127.0.0.1", 9))
    socket.socket(type=socket.SOCK_DGRAM).sendto(b"", ("127.0.0.1", 9))
    subprocess.run(["true"])
    os.system("true")
    os.fork()
    os.execv("/bin/true", ["true"])
    os.posix_spawn("/bin/true", ["true"], {})
    os.remove("keep.txt")
    os.rename("keep.txt", "moved.txt")
    os.chmod("keep.txt", 0)
    os.symlink("keep.txt", "link.txt")
    open("keep.txt", "r+")
    os.open("new.txt", os.O_CREAT | os.O_WRONLY)
    shutil.rmtree("folder")
    os.kill(os.getppid(), 15)
    socket.gethostbyname("example.org")
""".split("\n    ")[1:]


def test_what_would_reach_beyond_the_process_is_refused_and_noted(root: Path) -> None:
    (root / "keep.txt").write_text("kept")
    (root / "folder").mkdir()
    (root / "folder" / "inside").write_text("")
    lines = ["import os, shutil, socket, subprocess"]
    for each in REFUSED:
        lines += ["try:", f"    {each.strip()}", "except PermissionError:", "    refused = True"]
    write(root, main="\n".join(lines) + APP)
    before = files_below(root)
    result = seen(root)
    assert files_below(root) == before
    assert (root / "keep.txt").read_text() == "kept"
    expected = [
        number for number, line in enumerate(lines, 1) if line[4:] in map(str.strip, REFUSED)
    ]
    assert sorted({each.line for each in result.refusals}) == expected
    assert not any(each.pretended for each in result.refusals)


def test_a_refusal_that_ends_the_import_is_told_with_its_line(root: Path) -> None:
    write(root, main="import os\n\nos.fork()\n")
    assert why(root) == "importing main stops at what is refused in main.py:3: os.fork"


def test_code_that_expects_a_refusal_goes_on_and_the_refusal_is_said(root: Path) -> None:
    tries = "import socket\ntry:\n    socket.create_connection(('127.0.0.1', 9))\n"
    source = tries + "except OSError:\n    pass\n"
    result = seen(write(root, main=source + APP))
    assert [*said(result)] == [
        "while it was imported, main:app asked for the network, and nothing of it was done: "
        "127.0.0.1 in main.py:3"
    ]


# --- what is pretended ----------------------------------------------------------------------


def test_log_files_folders_and_tables_are_believed_to_be_there_and_are_not(root: Path) -> None:
    source = """
        import logging, os, pathlib, sqlite3
        logging.basicConfig(filename="app.log")
        os.makedirs("uploads/images", exist_ok=True)
        pathlib.Path("cache").mkdir()
        pathlib.Path("pid").write_text("1")
        connection = sqlite3.connect("app.db")
        connection.execute("create table users (id)")
    """
    result = seen(write(root, main=source + APP.replace("\n", "\n        ")))
    assert files_below(root) == {"main.py"}
    assert {(each.kind, each.line, each.pretended) for each in result.refusals} == {
        ("write", line, True) for line in (2, 3, 4, 5, 6)
    }


def test_tables_are_not_made_by_sqlalchemy(root: Path) -> None:
    pytest.importorskip("sqlalchemy")
    source = """
        from sqlalchemy import MetaData, create_engine
        engine = create_engine("sqlite:///app.db")
        MetaData().create_all(engine)
        with engine.begin() as connection:
            connection.exec_driver_sql("create table t (a)")
        from starlette.applications import Starlette
        app = Starlette()
    """
    result = seen(write(root, main=source))
    assert [each.event for each in result.refusals] == [
        "sqlalchemy.sql.schema.MetaData.create_all",
        "sqlite3.connect",
    ]
    assert files_below(root) == {"main.py"}


def test_temporary_files_are_written_and_gone_afterwards(root: Path) -> None:
    source = """
        import tempfile
        with tempfile.TemporaryDirectory() as folder:
            open(folder + "/inside", "w").write("x")
        kept = tempfile.mkdtemp()
        open(kept + "/inside", "w").write("x")
        assert open(kept + "/inside").read() == "x"
    """
    assert seen(write(root, main=source + APP.replace("\n", "\n        "))).refusals == ()
    assert [*Path(tempfile.gettempdir()).iterdir()] == []


def test_files_that_only_a_build_makes_need_not_be_there(root: Path) -> None:
    source = """
        from starlette.applications import Starlette
        from starlette.routing import Mount
        from starlette.staticfiles import StaticFiles
        app = Starlette(routes=[Mount("/static", StaticFiles(directory="not/built"))])
    """
    assert [each.path for each in seen(write(root, main=source)).routes] == ["/static"]


def test_a_server_that_is_started_at_import_is_not(root: Path) -> None:
    pytest.importorskip("uvicorn")
    result = seen(write(root, main=APP + "import uvicorn\nuvicorn.run(app)\n"))
    assert [(each.kind, each.line) for each in result.refusals] == [("serve", 7)]


# --- what code in C does --------------------------------------------------------------------

fenced = pytest.mark.skipif(
    not sys.platform.startswith("linux")
    or ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) < 1,
    reason="this kernel has no Landlock",
)


@fenced
def test_code_in_c_writes_nothing_and_starts_nothing(root: Path) -> None:
    source = """
        import ctypes
        c = ctypes.CDLL(None)
        made = c.creat(b"made", 0o644)
        removed = c.unlink(b"keep.txt")
        changed = c.chmod(b"keep.txt", 0)
        ran = c.system(b"touch ran")
        forked = c.fork()
        killed = c.kill(c.getppid(), 0)
        assert ran != 0 and [made, removed, changed, forked, killed] == [-1] * 5
    """
    (root / "keep.txt").write_text("kept")
    seen(write(root, main=source + APP.replace("\n", "\n        ")))
    assert files_below(root) == {"main.py", "keep.txt"}


@fenced
def test_a_driver_in_c_reaches_nobody(root: Path) -> None:
    pytest.importorskip("psycopg2")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.0)
        port = server.getsockname()[1]
        source = f"import psycopg2\npsycopg2.connect('host=127.0.0.1 port={port} user=x')\n"
        sentence = why(write(root, main=source))
        with pytest.raises(BlockingIOError):
            server.accept()
    assert sentence.startswith("importing main raises OperationalError in main.py:2: ")
    assert sentence.endswith("(an import may not connect, write or start anything)")


# --- what ends an import --------------------------------------------------------------------


def test_exits_are_told_with_their_lines(root: Path) -> None:
    write(root, a="import sys\nsys.exit('no key')\n", b="import os\n\nos._exit(3)\n")
    assert why(root, "a:app") == "importing a ends with sys.exit(no key) in a.py:2"
    assert why(root, "b:app") == "importing b ended the process with os._exit(3) in b.py:3"


def test_an_error_is_told_with_the_line_of_the_project(root: Path) -> None:
    write(root, main="import helper\n", helper="import json\njson.loads('x')\n")
    assert why(root) == (
        "importing main raises JSONDecodeError in helper.py:2: Expecting value: line 1 column 1 (char 0)"
    )


def test_a_missing_variable_of_the_environment_is_named(root: Path) -> None:
    write(
        root,
        main="import settings\n" + APP,
        settings="import os\nKEY = os.environ['SERVICE_KEY']\n",
    )
    assert why(root) == (
        "importing main needs the environment variable SERVICE_KEY in settings.py:2: "
        "set what it needs, any value will do"
    )
    assert isinstance(imported(root, environ={"SERVICE_KEY": "x"}), Imported)


def test_a_key_that_is_missing_elsewhere_is_no_variable(root: Path) -> None:
    write(root, main="{}['SERVICE_KEY']\n")
    assert why(root) == "importing main raises KeyError in main.py:1: 'SERVICE_KEY'"


def test_an_import_that_hangs_is_ended_and_its_line_told(root: Path) -> None:
    write(root, main="import time\ndef wait():\n    time.sleep(600)\nwait()\n")
    assert why(root, seconds=0.5) == (
        "importing main took longer than 0.5 s in main.py:3, wait: "
        "move what takes long into the lifespan, or audit with --no-import"
    )


def test_an_import_that_swallows_everything_is_ended(root: Path) -> None:
    source = """
        import faulthandler, signal
        faulthandler.cancel_dump_traceback_later()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)
        while True:
            pass
    """
    assert why(write(root, main=source), seconds=0.3).startswith(
        "importing main took longer than 0.3 s"
    )


def test_a_crash_is_told_with_its_line(root: Path) -> None:
    write(root, main="import ctypes\nctypes.string_at(0)\n")
    assert why(root) == "importing main ended with SIGSEGV in main.py:2: audit with --no-import"


def test_closed_descriptors_and_megabytes_of_output_end_in_a_sentence(root: Path) -> None:
    source = """
        import os
        for _ in range(20):
            os.write(1, b"x" * 1_000_000)
        print("the last word", flush=True)
        os.closerange(3, 100)
    """
    assert why(write(root, main=source)) == (
        "importing main ended the process with exit code 1; the last it printed is "
        "'OSError: [Errno 9] Bad file descriptor'"
    )


def test_output_does_not_mix_with_the_answer(root: Path) -> None:
    source = (
        "print('{\"failed\": 1}' * 100_000)\nimport sys; print('x' * 1_000_000, file=sys.stderr)\n"
    )
    assert seen(write(root, main=source + APP)).app == "main:app"


def test_memory_beyond_the_limit_is_refused(root: Path) -> None:
    write(root, main="x = bytearray(64 << 30)\n")
    assert (
        why(root)
        == "importing main takes more memory than it may in main.py:1: audit with --no-import"
    )


def test_threads_that_go_on_die_with_the_import(root: Path) -> None:
    source = "import threading\nthreading.Thread(target=threading.Event().wait).start()\n"
    before = threading.active_count()
    assert seen(write(root, main=source + APP)).app == "main:app"
    assert threading.active_count() == before


def test_code_at_exit_is_not_run(root: Path) -> None:
    source = (
        "import atexit, os\natexit.register(os.write, 1, b'x')\natexit.register(print, 1 / 1)\n"
    )
    assert seen(write(root, main=source + APP)).refusals == ()


def test_syntax_that_the_interpreter_cannot_read_is_told_with_its_version(root: Path) -> None:
    write(root, main="import broken\n", broken="x = 1\n\ndef f(:\n")
    version = ".".join(map(str, sys.version_info[:3]))
    sentence = why(root)
    assert sentence.startswith(
        f"importing main fails in broken.py:3: Python {version} cannot read it ("
    )


def test_a_library_that_is_not_installed_points_to_the_interpreter(root: Path) -> None:
    write(root, main="import no_such_library\n")
    assert why(root) == (
        f"importing main needs no_such_library in main.py:1, which {sys.executable} does not have: "
        "name the project's interpreter with --python"
    )


def test_what_was_imported_before_a_failure_is_still_told(root: Path) -> None:
    write(
        root,
        main="import state\nraise RuntimeError('no')\n",
        state="class Cache: ...\ncache = Cache()\n",
    )
    result = imported(root)
    assert isinstance(result, Refused)
    assert result.partial is not None
    assert result.partial.type_of_global("state", "cache") == ("state:Cache",)


# --- which app ------------------------------------------------------------------------------


def test_an_app_that_is_not_there_is_met_with_one_that_is(root: Path) -> None:
    write(root, app__main=APP)
    assert (
        why(root, "app.mian:app") == "there is no module app.mian in project: is it app.main:app?"
    )
    assert why(root, "app.main:application") == (
        "app.main has no application; it has app: name the app as package.module:app"
    )


def test_what_is_no_app_is_said_to_be_none(root: Path) -> None:
    write(root, main="app = 3\n")
    assert why(root) == (
        "app is a int, which is no FastAPI or Starlette app: name the app as package.module:app"
    )


def test_a_factory_is_called_only_when_asked_for(root: Path) -> None:
    source = (
        "from starlette.applications import Starlette\ndef create_app():\n    return Starlette()\n"
    )
    write(root, main=source)
    assert why(root, None) == (
        "main:create_app() is a factory, and factories are called only with --import: "
        "name it with --import main:create_app()"
    )
    assert seen(root, None, required=True).app == "main:create_app()"


def test_the_next_candidate_is_tried_when_the_first_fails(root: Path) -> None:
    write(root, main="from fastapi import FastAPI\n1 / 0\napp = FastAPI()\n", other=APP)
    assert seen(root, None).app == "other:app"


def test_a_project_without_an_app_says_so(root: Path) -> None:
    write(root, main="print('hello')\n")
    assert why(root, None) == (
        "no FastAPI or Starlette app was found in project: name it as package.module:app"
    )


def test_an_interpreter_that_is_none_is_a_usage_error(root: Path) -> None:
    with pytest.raises(UsageError, match="--python is 'nowhere', where there is no Python"):
        imported(root, python="nowhere")


@pytest.mark.parametrize("program", ["/bin/false", "/bin/ls"])
def test_something_that_runs_and_is_no_interpreter_is_a_usage_error(
    program: str, root: Path
) -> None:
    write(root, main=APP)
    with pytest.raises(UsageError, match=f"--python is '{program}', which runs no Python"):
        imported(root, python=program)


# --- where ----------------------------------------------------------------------------------


def old_python() -> str | None:
    found = sorted(Path.home().glob(".pyenv/versions/3.[678].*/bin/python"))
    return str(found[0]) if found else None


def oldest_python() -> str | None:
    found = sorted(Path.home().glob(".pyenv/versions/3.9.*/bin/python"))
    return str(found[0]) if found else None


@pytest.mark.skipif(old_python() is None, reason="no Python before 3.9 here")
def test_a_python_that_is_too_old_is_told_in_a_sentence(root: Path) -> None:
    write(root, main=APP)
    python = old_python()
    assert python is not None
    assert "and an app is imported by 3.9 or newer: name another with --python" in why(
        root, python=python
    )


@pytest.mark.skipif(oldest_python() is None, reason="no Python 3.9 here")
def test_the_oldest_python_runs_the_whole_probe(root: Path) -> None:
    source = """
        import os, sqlite3, socket
        os.makedirs("uploads")
        sqlite3.connect("app.db")
        class Router:
            lifespan_context = None
        class App:
            routes, router, user_middleware, exception_handlers = [], Router(), [], {}
        app = App()
    """
    python = oldest_python()
    assert python is not None
    result = seen(write(root, main=source), python=python)
    assert result.versions["python"].startswith("3.9.")
    assert result.type_of_global("main", "app") == ("main:App",)
    assert [each.pretended for each in result.refusals] == [True, True]


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or not Path("/usr/bin/setpriv").exists(),
    reason="only root can become somebody else",
)
def test_the_fence_needs_no_privilege(root: Path) -> None:
    """The interpreter is a script that first becomes nobody, so all of the child runs as nobody."""
    python = Path(f"/usr/bin/python3.{sys.version_info[1]}")
    if not python.exists():
        pytest.skip("no interpreter that everybody may run")
    wrapper = root / "python"
    wrapper.write_text(
        "#!/bin/sh\n"
        f'exec /usr/bin/setpriv --reuid=65534 --regid=65534 --clear-groups {python} "$@"\n'
    )
    wrapper.chmod(0o755)
    folder = Path(tempfile.gettempdir())
    for each in (root, folder, *root.parents):
        if each.owner() == "root" and each.is_relative_to("/tmp"):
            each.chmod(each.stat().st_mode | 0o055)
    source = """
        import ctypes, os
        assert os.getuid() == 65534
        assert ctypes.CDLL(None).creat(b"/tmp/unstall_audit_creat", 0o644) == -1
        assert ctypes.CDLL(None).fork() == -1
        class Router:
            lifespan_context = None
        class App:
            routes, router, user_middleware, exception_handlers = [], Router(), [], {}
        app = App()
    """
    assert seen(write(root, main=source), python=str(wrapper)).unfenced == ()


def test_limits_have_defaults_that_heavy_libraries_meet() -> None:
    assert Limits().seconds == 20.0
    assert Limits().memory >= 8 << 30


def test_the_environment_is_given_as_it_is_but_for_what_would_leave_traces(root: Path) -> None:
    source = """
        import os, sys
        assert os.environ["MINE"] == "1" and "UNSTALL_SOCKET" not in os.environ
        assert sys.dont_write_bytecode and not sys.stdin.read()
        import helper
    """
    write(root, main=source + APP.replace("\n", "\n        "), helper="")
    seen(root, environ={"MINE": "1", "UNSTALL_SOCKET": "x"})
    assert files_below(root) == {"main.py", "helper.py"}


def test_read_finds_the_interpreter_itself(root: Path) -> None:
    write(root, main=APP)
    result = read(root, "main:app", environ={"VIRTUAL_ENV": sys.prefix})
    assert isinstance(result, Imported)
    assert Path(result.interpreter).parent.parent == Path(sys.prefix)
