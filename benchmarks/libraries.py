"""Drivers and libraries under test mode: each fast call that blocks is caught, and no asynchronous twin is.

The cases of benchmarks/cases/libraries are staged like those of the matrix, against servers of
`support/protocols.py` and a real PostgreSQL and Valkey. The libraries are not among the project's own
requirements: they get an environment below `.cache/libraries`, and this script runs itself there.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.cases.case import Case, Group
from benchmarks.support.bars import Bar, table
from benchmarks.support.harness import Harness, parser
from benchmarks.support.machine import ROOT
from benchmarks.support.processes import environment
from benchmarks.support.scores import Score

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
HOME = ROOT / ".cache" / "libraries" / PYTHON
MODULES = ("databases", "messages", "remote", "files")
LIBRARIES = tuple(
    """
    aio-pika aiobotocore aiofiles aioftp aiohttp aioimaplib aiokafka aiomcache aiomqtt aiomysql aiosmtpd
    aiosmtplib aiosqlite argon2-cffi asyncssh bcrypt boto3 dnspython duckdb elasticsearch filelock GitPython
    httplib2 hvac jinja2 kafka-python ldap3 lxml moto[s3,server] mysql-connector-python mysql-mimic nats-py
    numpy openai opencv-python-headless openpyxl oracledb paho-mqtt pamqp pandas paramiko peewee pika pillow
    polars portalocker pyarrow
    pycurl pyftpdlib pymemcache pymssql pyzmq urllib3 valkey watchfiles websocket-client websockets
    """.split()
)
DISPUTED = ("python-dateutil", "urllib3")
"""What `requirements/dev.txt` locks in versions that aiobotocore does not stand."""
TOOLS = ("trap", "blockbuster", "aiocop")


def cases() -> list[Case]:
    found = [import_module(f"benchmarks.cases.libraries.{name}").CASES for name in MODULES]
    return [case for each in found for case in each]


# --- the environment --------------------------------------------------------------------------------


def install() -> Path:
    """The Python of the environment, made when it is first needed. Raises RuntimeError as pip complains."""
    python, complete = HOME / "bin" / "python", HOME / "complete"
    wanted = "\n".join(LIBRARIES)
    if not complete.exists() or complete.read_text() != wanted:
        if not python.exists():
            venv.create(HOME, with_pip=True)
        lines = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8").splitlines()
        locked = "\n".join(line for line in lines if line.partition("==")[0] not in DISPUTED)
        install = (str(python), "-m", "uv", "pip", "install", "-q", "--python", str(python))
        # An older pip goes back through all versions of pandas until one cannot be built.
        _done(str(python), "-m", "pip", "--disable-pip-version-check", "install", "-q", "uv")
        _done(*install, "-r", "-", *LIBRARIES, given=locked)
        _done(*install, "--no-deps", "--no-build-isolation", "-e", str(ROOT))
        complete.write_text(wanted)
    return python


def _done(*command: str, given: str = "") -> None:
    done = subprocess.run(
        command, cwd=ROOT, input=given, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"the libraries cannot be installed: {done.stderr.strip()[-1500:]}")


def versions() -> str:
    names = [name.partition("[")[0] for name in LIBRARIES]
    return ", ".join(f"{name} {version(name)}" for name in names)


# --- what is judged ---------------------------------------------------------------------------------


def complaints(scores: Sequence[Score], by_name: dict[str, Case]) -> Iterator[str]:
    for each in scores:
        case, where = by_name[each.case], f"{each.case} with {each.tool}"
        if each.trouble:
            yield f"void: {where}: {each.trouble}"
        elif case.group is Group.CLEAN and each.noise:
            yield f"accused: {where}: {each.said}"
        elif case.group is Group.CLEAN or each.tool != "trap":
            continue
        elif not each.caught:
            yield f"missed: {where}"
        elif not each.line or each.noise:
            yield f"not right: {where}: {each.said}"
        elif case.rule not in each.said:
            yield f"another rule than {case.rule}: {where}: {each.said}"


def per_tool(scores: Sequence[Score], by_name: dict[str, Case]) -> str:
    rows = []
    for tool in sorted({each.tool for each in scores}, key=TOOLS.index):
        mine = [each for each in scores if each.tool == tool]
        blocking = [each for each in mine if by_name[each.case].group is not Group.CLEAN]
        clean = [each for each in mine if by_name[each.case].group is Group.CLEAN]
        rows.append([
            tool,
            f"{sum(each.caught for each in blocking)} of {len(blocking)}",
            f"{sum(each.caught and each.line for each in blocking)} of {len(blocking)}",
            f"{sum(each.noise > 0 for each in clean)} of {len(clean)}",
        ])  # fmt: skip
    return table(("tool", "caught", "right line", "clean accused"), rows)


def bars(scores: Sequence[Score], by_name: dict[str, Case]) -> list[Bar]:
    ours = [each for each in scores if each.tool == "trap"]
    blocking = [each for each in ours if by_name[each.case].group is not Group.CLEAN]
    right = sum(each.caught and each.line for each in blocking)
    noise = sum(each.noise for each in ours)
    void = sum(bool(each.trouble) for each in scores)
    return [
        Bar("libraries_ran", str(len(scores) - void), f"of {len(scores)}", void == 0),
        Bar("libraries_caught", str(right), f"of {len(blocking)}", right == len(blocking)),
        Bar("libraries_noise", f"{noise} accusations", "== 0", noise == 0),
    ]


def run(arguments: Sequence[str]) -> int:
    from benchmarks.matrix import measured

    options = parser(__doc__)
    by_name = {case.name: case for case in cases()}
    options.add_argument("--only", metavar="CASE", action="append", choices=sorted(by_name))
    options.add_argument("--tool", metavar="T", action="append", choices=TOOLS)
    harness = Harness(options.parse_args(arguments))
    named = harness.options.only
    chosen = [
        case for case in by_name.values()
        if (case.name in named if named else case.quick or not harness.quick)
    ]  # fmt: skip
    tools = harness.options.tool or (TOOLS[:1] if harness.quick else TOOLS)
    harness.section(
        f"{len(chosen)} cases, {len(chosen) * len(tools)} fresh services, in random order"
    )
    print(versions())
    scores = measured(harness, chosen, [(tool, "asyncio") for tool in tools])
    print(per_tool(scores, by_name))
    harness.section("What the trap got wrong, what accused clean code, what did not run")
    print("\n".join(complaints(scores, by_name)) or "nothing")
    return harness.finish(bars(scores, by_name))


def main(arguments: Sequence[str]) -> int:
    if Path(sys.prefix).resolve() == HOME.resolve():
        return run(arguments)
    command = [str(install()), str(Path(__file__).resolve()), *arguments]
    return subprocess.run(command, env=environment(), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
