"""A plan in TOML is a value, or one sentence about what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from unstall.errors import UsageError
from unstall.model.plan import (
    AppPlan,
    Arrivals,
    Fault,
    Per,
    Plan,
    Scenario,
    Stage,
    Threshold,
    WitnessPlan,
)
from unstall.plans import find_plan, read_plan

EVERYTHING = """
name = "shop"
seed = 7
repeat = 3
in_flight = 900
upstreams = ["REDIS_URL"]

[app]
command = "uvicorn shop.main:app --port {port}"
ready = "/readyz"
env = { DATABASE_URL = "postgresql://127.0.0.1/shop" }
folder = "service"
patience = 12

[witness]
path = "/livez"
rate = 10

[[scenario]]
name = "ingest"
request = "POST /v1/events?a=1"
body = "event.json"
headers = { Authorization = "Bearer ${env:TOKEN}" }
stages = [{ rate = 50, seconds = 10 }, { rate = 300, seconds = 30.5 }]
arrivals = "constant"
timeout = 5

[[scenario]]
name = "checkout"
call = "loads:checkout"
rate = 2
seconds = 40

[[fault]]
upstream = "DATABASE_URL"
kind = "hang"
seconds = 15
probability = 0.05
per = "connection"
bad = 1
after = 5
until = 20.5

[[fault]]
upstream = "REDIS_URL"
kind = "latency"
name = "slow cache"
attributes = { latency = 500, jitter = 50 }
stream = "upstream"

[thresholds]
"ingest.p95_ms" = "< 150"
"witness.p99_ms" = ["< 50", ">= 0"]
[thresholds."slow cache"]
"loop.stalls" = "== 0"
"""


def written(folder: Path, text: str, name: str = "plan.toml") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_every_key_of_a_plan_has_its_place(tmp_path: Path) -> None:
    (tmp_path / "event.json").write_text('{"id": "${uuid}"}')
    file = written(tmp_path, EVERYTHING)
    assert read_plan(file) == Plan(
        name="shop",
        app=AppPlan(
            command="uvicorn shop.main:app --port {port}", ready="/readyz",
            env={"DATABASE_URL": "postgresql://127.0.0.1/shop"}, folder="service", patience=12,
        ),
        witness=WitnessPlan("/livez", 10),
        scenarios=(
            Scenario(
                "ingest", "POST", "/v1/events?a=1",
                headers={"Content-Type": "application/json", "Authorization": "Bearer ${env:TOKEN}"},
                body='{"id": "${uuid}"}', stages=(Stage(50, 10), Stage(300, 30.5)),
                arrivals=Arrivals.CONSTANT, timeout=5,
            ),
            Scenario("checkout", call="loads:checkout", stages=(Stage(2, 40),)),
        ),
        faults=(
            Fault("DATABASE_URL", "hang", seconds=15, probability=0.05, per=Per.CONNECTION, bad=1,
                  after=5, until=20.5),
            Fault("REDIS_URL", "latency", "slow cache", attributes={"latency": 500, "jitter": 50},
                  stream="upstream"),
        ),
        upstreams=("REDIS_URL",),
        thresholds=(
            Threshold("ingest.p95_ms", "<", 150),
            Threshold("witness.p99_ms", "<", 50),
            Threshold("witness.p99_ms", ">=", 0),
            Threshold("loop.stalls", "==", 0, "slow cache"),
        ),
        seed=7,
        repeat=3,
        in_flight=900,
        file=str(file),
    )  # fmt: skip


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    file = written(tmp_path, "[app]\nready = '/up'\n")
    assert read_plan(file) == Plan(
        app=AppPlan(ready="/up"), witness=WitnessPlan("/up"), file=str(file)
    )


def test_a_body_may_stand_in_the_plan(tmp_path: Path) -> None:
    text = """
        [[scenario]]
        name = "a"
        request = "POST /a"
        json = { number = 1, word = "grün" }
        [[scenario]]
        name = "b"
        request = "POST /b"
        text = "x=${seq}"
        [[scenario]]
        name = "c"
        request = "POST /c"
        json = [1]
        headers = { content-type = "application/x" }
    """
    first, second, third = read_plan(written(tmp_path, text)).scenarios
    assert (first.body, first.headers) == (
        '{"number": 1, "word": "grün"}',
        {"Content-Type": "application/json"},
    )
    assert (second.body, second.headers) == ("x=${seq}", {})
    assert third.headers == {"content-type": "application/x"}


SCENARIO = '[[scenario]]\nname = "a"\n'
FAULT = '[[fault]]\nupstream = "A"\nkind = "hang"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scenarios = []", "'scenarios' is no key of plan.toml; did you mean 'scenario'?"),
        ("[app]\ncomand = 'x'", "'comand' is no key of app of plan.toml; did you mean 'command'?"),
        ("[app]\nready = 'up'", "ready of app of plan.toml is 'up': a path begins with a slash"),
        ("[app]\npatience = '5'", "patience of app of plan.toml is '5': give a number"),
        ("[app]\nenv = 'A=1'", "env of app of plan.toml is of the type str: give a table of texts"),
        ("[app]\nenv = { A = 1 }", "A in env of app of plan.toml is of the type int: give a text"),
        ("[app]\nenv = { 'A=B' = '1' }", "has the name 'A=B': a variable has a name without ="),
        ("[app]\nenv = { A = \"\\u0000\" }", "A in env of app of plan.toml has a null character"),
        ("[app]\nurl = 'localhost:80'", "url of app of plan.toml is no URL of a server"),
        ("[app]\nurl = 'ftp://localhost'", "url of app of plan.toml is no URL of a server"),
        ("[app]\nurl = 'http://[::1'", "url of app of plan.toml is no URL of a server"),
        ("[app]\nurl = 'http://localhost:99999'", "url of app of plan.toml is no URL of a server"),
        ("[witness]\nrate = 1" + "0" * 400, "give a number from 0 up"),
        ("app = 3", "app of plan.toml is 3, which is no table"),
        ("seed = -1", "seed of plan.toml is -1: give a whole number from 0 up"),
        ("repeat = 0", "repeat of plan.toml is 0: give 1 or more"),
        ("in_flight = true", "in_flight of plan.toml is True"),
        ("upstreams = 'A'", "upstreams of plan.toml is 'A': give a list of texts"),
        ("[witness]\nrate = inf", "rate of witness of plan.toml is inf"),
        ("scenario = 3", "write [[scenario]], as often as needed"),
        ("[[scenario]]\nrequest = 'GET /'", "a scenario in plan.toml has no name"),
        (SCENARIO, "scenario 'a' in plan.toml sends nothing"),
        (SCENARIO + "request = 'get /'", 'as in "GET /orders"'),
        (SCENARIO + "request = 'GET /'\npath = '/'", "has request and path: give one of them"),
        (SCENARIO + "call = 'a:b'\ntext = 'x'", "has call and text"),
        (SCENARIO + "request = 'GET /'\ntext = 'x'\njson = 1", "has text and json"),
        (SCENARIO + "request = 'GET /'\nrate = 3", "has a rate or seconds alone"),
        (SCENARIO + "request = 'GET /'\nrate = 3\nseconds = 1\nstages = []", "stages"),
        (SCENARIO + "request = 'GET /'\nstages = [3]", "as in [{ rate = 50, seconds = 10 }]"),
        (SCENARIO + "request = 'GET /'\nstages = []", "as in [{ rate = 50, seconds = 10 }]"),
        (SCENARIO + "request = 'GET /'\nstages = [{rate=-1, seconds=1}]", "rate in stages of scenario 'a'"),
        (SCENARIO + "request = 'GET /'\narrivals = 'poison'", "did you mean 'poisson'?"),
        (SCENARIO + "request = 'GET /'\nbody = 'none.json'", "none.json, which cannot be read"),
        (SCENARIO + "request = 'GET /'\njson = 1979-05-27", "write it as a text"),
        ((SCENARIO + "path = '/'\n") * 2, "two scenarios in plan.toml have the name 'a'"),
        ("[[fault]]\nkind = 'hang'", "a fault in plan.toml has no upstream"),
        (FAULT + "probability = 5", "probability of a fault in plan.toml is 5: give a probability"),
        (FAULT + "per = 'exchanges'", "did you mean 'exchange'?"),
        (FAULT + "latency = 5", "'latency' is no key of a fault in plan.toml"),
        (FAULT + "attributes = { latency = 'x' }", "latency in attributes"),
        (FAULT + "after = 5\nuntil = 5", "not after its begin"),
        (FAULT + "stream = 'up'", "give downstream or upstream"),
        (FAULT * 2, "two faults in plan.toml have the name 'hang A'"),
        (FAULT + "name = 'healthy'", "has the name 'healthy', as the phase without one"),
        ("[thresholds]\n'a.p95_ms' = '150'", 'as in "< 150"'),
        ("[thresholds]\n'a.p95_ms' = 150", "write a comparison and a number"),
        ("[thresholds]\n'a.p95_ms' = '=> 150'", 'as in "< 150"'),
        ("[thresholds]\n'a.p95_ms' = ['< 150', 3]", "is 3"),
        ("[app", "is no TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, text)
    with pytest.raises(UsageError) as refused:
        read_plan(Path("plan.toml"))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "[app]\nenv = { DATABASE_PASSWORD = 'geheim', DEBUG = true }",
        "[app]\nenv = 'DATABASE_PASSWORD=geheim'",
        "[app]\nurl = 'ftp://user:geheim@localhost'",
        SCENARIO + "request = 'GET /'\nheaders = { Authorization = 'geheim', A = 1 }",
    ],
)
def test_what_is_wrong_beside_a_secret_does_not_tell_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_plan(written(tmp_path, text))
    assert "geheim" not in str(refused.value)


def test_a_free_port_may_stand_in_the_url(tmp_path: Path) -> None:
    text = "[app]\nurl = 'https://localhost:{port}/api'"
    assert read_plan(written(tmp_path, text)).app.url == "https://localhost:{port}/api"


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_plan(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(UsageError, match="is not UTF-8"):
        read_plan(tmp_path / "latin.toml")


PLAN = '[[scenario]]\nname = "a"\nrequest = "GET /a"\n'


def test_a_plan_may_stand_beside_settings(tmp_path: Path) -> None:
    written(tmp_path, PLAN + "[audit]\nignore = []\n[lanes.a]\nthreads = 3\n", "unstall.toml")
    found = find_plan(tmp_path)
    assert found is not None
    assert [each.name for each in found.scenarios] == ["a"]
    with pytest.raises(UsageError, match="'audit' is no key"):
        read_plan(written(tmp_path, PLAN + "[audit]\nignore = []\n", "mine.toml"))


def test_a_plan_may_stand_in_pyproject(tmp_path: Path) -> None:
    text = "[project]\nname = 'x'\n[tool.unstall]\nseed = 4\n" + PLAN.replace(
        "scenario", "tool.unstall.scenario"
    )
    file = written(tmp_path, text, "pyproject.toml")
    below = tmp_path / "src" / "shop"
    below.mkdir(parents=True)
    assert find_plan(below) == read_plan(file)
    assert read_plan(file).seed == 4


def test_a_file_with_settings_alone_is_no_plan(tmp_path: Path) -> None:
    written(
        tmp_path, "[project]\nname = 'x'\n[tool.unstall.audit]\nignore = []\n", "pyproject.toml"
    )
    (tmp_path / ".git").mkdir()
    assert find_plan(tmp_path) is None
    written(tmp_path, "[project]\nname = 'x'\n", "pyproject.toml")
    with pytest.raises(UsageError, match=r"has no \[tool.unstall\]"):
        read_plan(tmp_path / "pyproject.toml")


def test_what_lies_above_a_repository_belongs_to_somebody_else(tmp_path: Path) -> None:
    written(tmp_path, PLAN, "unstall.toml")
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    assert find_plan(project) is None
