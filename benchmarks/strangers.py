"""`unstall prove` without a plan on FastAPI applications from PyPI that were not written for it.

Each gets an environment below `.cache/strangers`, with unstall in it, and a module of a few lines that makes
its application as its own documentation does. What counts is what a user has afterwards: a page with
verdicts and routes, or one sentence that says why not. A real PostgreSQL and a real Valkey stand upstream.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.support.bars import Bar, table
from benchmarks.support.harness import Harness, parser
from benchmarks.support.machine import ROOT
from benchmarks.support.processes import environment

HOME = ROOT / ".cache" / "strangers" / f"{sys.version_info.major}.{sys.version_info.minor}"
PATIENCE_S = 600
SHOWN = 6


@dataclass(frozen=True, slots=True)
class Stranger:
    """An application of somebody else's."""

    name: str
    """On PyPI."""
    module: str
    """The text of the module that makes `app`."""
    requirements: tuple[str, ...] = ()
    """Beside its own package."""
    env: Mapping[str, str] = field(default_factory=dict)
    """May name `{valkey}` and `{postgres}`: HOST:PORT of a real one, and `{folder}`."""
    upstreams: tuple[str, ...] = ()
    fault: str = "hang:3"
    setup: str = ""
    """Run once before, with the same environment: tables, examples to look at."""
    expects: int = 0
    """So many routes must be asked; 0: a sentence must say why not."""


STRANGERS = (
    Stranger(
        "rq-dashboard-fast",
        "import os\n"
        "from rq_dashboard_fast import RedisQueueDashboard\n"
        "app = RedisQueueDashboard(os.environ['REDIS_URL'])\n",
        env={"REDIS_URL": "redis://{valkey}/0"},
        upstreams=("REDIS_URL",),
        setup=(
            "import os, redis, rq\n"
            "queue = rq.Queue('mail', connection=redis.Redis.from_url(os.environ['REDIS_URL']))\n"
            "[queue.enqueue('builtins.print', n) for n in range(20)]\n"
        ),
        expects=5,
    ),
    Stranger(
        "titiler.application",
        "from titiler.application.main import app\n",
        expects=5,
    ),
    Stranger(
        "prefect",
        "from prefect.server.api.server import create_app\napp = create_app()\n",
        requirements=("asyncpg", "fastapi==0.145.*"),  # with later ones it does not import
        env={
            "PREFECT_API_DATABASE_CONNECTION_URL": "postgresql+asyncpg://postgres@{postgres}/postgres",
            "PREFECT_HOME": "{folder}",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        },
        upstreams=("PREFECT_API_DATABASE_CONNECTION_URL",),
        expects=20,
    ),
    Stranger(
        "simple-repository-server",
        "from simple_repository_server.__main__ import create_app\n"
        "app = create_app(['{folder}'])\n",
    ),
)  # fmt: skip
QUICK = ("rq-dashboard-fast",)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a user has afterwards."""

    stranger: Stranger
    code: int
    run: Mapping[str, Any] | None
    said: str
    """The last line on standard error."""

    @property
    def asked(self) -> int:
        return len(self.run["plan"].get("scenarios", ())) if self.run else 0

    @property
    def useful(self) -> bool:
        """A page where one was to be had, else one sentence and no traceback."""
        if self.stranger.expects:
            return self.run is not None and self.asked >= self.stranger.expects
        return self.run is None and self.said.startswith("unstall: ") and self.code in (2, 3, 4)


# --- the environment --------------------------------------------------------------------------------


def installed(stranger: Stranger) -> Path:
    """The Python of its environment, made when it is first needed. Raises RuntimeError as pip complains."""
    home = HOME / stranger.name
    python, complete = home / "bin" / "python", home / "complete"
    wanted = "\n".join((stranger.name, *stranger.requirements))
    if not complete.exists() or complete.read_text() != wanted:
        venv.create(home, with_pip=True, clear=True)
        _pip(
            python,
            stranger.name,
            *stranger.requirements,
            "uvicorn",
            "hatchling",
            "hypothesis-jsonschema",
        )
        _pip(python, "--no-deps", "--no-build-isolation", "-e", str(ROOT))
        complete.write_text(wanted)
    return python


def _pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "-q", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{arguments[0]} cannot be installed: {done.stderr.strip()[-1500:]}")


def version_of(python: Path, name: str) -> str:
    code = f"from importlib.metadata import version; print(version({name!r}))"
    return subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


# --- the run ----------------------------------------------------------------------------------------


def proved(stranger: Stranger, python: Path, places: Mapping[str, str], options: Any) -> Seen:
    folder = python.parents[1] / "work"
    folder.mkdir(exist_ok=True)
    filled = {**places, "folder": str(folder)}
    (folder / "stranger.py").write_text(stranger.module.format(**filled))
    env = environment() | {"PYTHONPATH": str(folder)}
    env |= {name: value.format(**filled) for name, value in stranger.env.items()}
    if stranger.setup:
        subprocess.run([python, "-c", stranger.setup], cwd=folder, env=env, check=True)
    report = folder / "run.json"
    report.unlink(missing_ok=True)
    command = [
        str(python), "-m", "unstall", "prove", "stranger:app",
        "--seconds", str(options.seconds), "--rate", str(options.rate),
        "--json", str(report), "--html", str(folder / "run.html"),
    ]  # fmt: skip
    for upstream in stranger.upstreams:
        command += ["--upstream", upstream, "--fault", stranger.fault, "--probability", "0.2"]
    done = subprocess.run(
        command,
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    (folder / "stdout.txt").write_text(done.stdout)
    (folder / "stderr.txt").write_text(done.stderr)
    run = json.loads(report.read_text()) if report.exists() else None
    last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "")
    return Seen(stranger, done.returncode, run, last)


# --- the report -------------------------------------------------------------------------------------


def told(seen: Seen) -> str:
    if seen.run is None:
        return f"exit {seen.code}; {seen.said}"
    lines = [f"exit {seen.code}; {seen.asked} routes asked"]
    lines += [
        f"  {phase['name']}: {phase['verdict']}, {phase['because']}"
        for phase in seen.run.get("phases", ())
    ]
    for finding in seen.run.get("findings", ())[:3]:
        site = finding.get("site") or {}
        file = str(site.get("file", "?")).rpartition("site-packages/")[2]
        where = f"{file}:{site.get('line', '?')}"
        kinds = ", ".join(dict.fromkeys(each["kind"] for each in finding.get("evidence", ())))
        lines.append(f"  {finding['code']} {finding['title']} at {where} ({kinds})")
    left_out = seen.run.get("unexercised", ())
    lines.append(f"  {len(left_out)} routes not exercised")
    lines += [f"    {each['route']}: {each['why']}" for each in left_out[:SHOWN]]
    return "\n".join(lines)


def run(arguments: Sequence[str]) -> int:
    options = parser(__doc__)
    names = [each.name for each in STRANGERS]
    options.add_argument("--only", metavar="NAME", action="append", choices=names)
    options.add_argument("--seconds", type=float, default=10.0, help="of each phase (10)")
    options.add_argument("--rate", type=float, default=30.0, help="requests a second (30)")
    harness = Harness(options.parse_args(arguments))
    chosen = harness.options.only or (QUICK if harness.quick else names)
    found: list[Seen] = []
    with ExitStack() as stack:
        places = _servers(stack)
        for stranger in STRANGERS:
            if stranger.name not in chosen:
                continue
            harness.progress(f"{stranger.name}: installing")
            python = installed(stranger)
            harness.section(f"{stranger.name} {version_of(python, stranger.name)}")
            found.append(proved(stranger, python, places, harness.options))
            print(told(found[-1]), flush=True)
    harness.raw["strangers"] = [
        {"name": each.stranger.name, "code": each.code, "said": each.said, "run": each.run}
        for each in found
    ]
    print()
    print(table(("application", "useful"), [
        [each.stranger.name, "yes" if each.useful else "no"] for each in found
    ]))  # fmt: skip
    useful = sum(each.useful for each in found)
    return harness.finish(
        [Bar("strangers_useful", str(useful), f"of {len(found)}", useful == len(found))]
    )


def _servers(stack: ExitStack) -> dict[str, str]:
    from tests.support.postgres import running_postgres
    from tests.support.valkey import running_valkey

    valkey = stack.enter_context(running_valkey())
    postgres = stack.enter_context(running_postgres())
    return {
        "valkey": f"{valkey.host}:{valkey.port}", "postgres": f"{postgres.host}:{postgres.port}",
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
