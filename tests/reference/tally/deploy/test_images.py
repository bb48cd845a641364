"""The Dockerfile and the compose file, without Docker."""

from __future__ import annotations

import json
import re
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from unstall.cli.commands import COMMANDS

ROOT = Path(__file__).parents[4]
DEPLOY = ROOT / "reference/tally/deploy"


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    text = text.replace("\\\n", " ")
    return [
        (word, rest.strip())
        for word, _, rest in (line.partition(" ") for line in text.splitlines() if line.strip())
    ]


def every(word: str) -> list[str]:
    return [rest for each, rest in instructions() if each == word]


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


# --- Dockerfile -------------------------------------------------------------------------------------------


def test_images_have_a_version() -> None:
    for image in every("FROM"):
        assert re.fullmatch(r"\S+:\d\S*( AS \w+)?", image), image


def test_the_image_runs_as_nobody_in_particular() -> None:
    uid, _, gid = every("USER")[-1].partition(":")
    assert uid.isdecimal()
    assert gid.isdecimal()
    assert int(uid) >= 10_000
    words = [word for word, _ in instructions()]
    assert words.index("USER") > max(n for n, word in enumerate(words) if word == "COPY")


def test_nothing_is_fetched_or_run_through_a_shell() -> None:
    assert every("ADD") == []
    assert json.loads(every("CMD")[0])
    assert every("ENTRYPOINT") == []
    for command in every("RUN"):
        assert "curl" not in command
        assert "apt-get upgrade" not in command


def test_what_is_copied_is_there_and_let_in() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    let_in = tuple(line[1:] for line in ignored if line.startswith("!"))
    for copy in every("COPY"):
        if copy.startswith("--from"):
            continue
        *sources, _ = copy.split()
        for source in sources:
            assert (ROOT / source).exists(), source
            assert any(source == each or source.startswith(f"{each}/") for each in let_in), source


def test_the_image_starts_what_there_is() -> None:
    command = json.loads(every("CMD")[0])
    before, after = command[: command.index("--")], command[command.index("--") + 1 :]
    assert before[:2] == ["unstall", "run"]
    assert "run" in COMMANDS
    assert after[:2] == ["uvicorn", "tally.app:app"]
    options = dict(pairwise(after))
    nginx = (DEPLOY / "nginx/tally.conf.template").read_text()
    shortest = min(int(each) for each in re.findall(r"keepalive_timeout (\d+)s", nginx))
    assert int(options["--timeout-keep-alive"]) > shortest


def test_ports_are_those_of_the_command() -> None:
    command = json.loads(every("CMD")[0])
    assert every("EXPOSE") == ["8000 9108"]
    assert "8000" in command
    assert "0.0.0.0:9108" in command


# --- compose ------------------------------------------------------------------------------------------------


def test_the_compose_file_is_valid() -> None:
    vendored = resources.files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json"
    schema = json.loads(vendored.read_text())
    jsonschema.validate(compose(), schema)
    broken = compose()
    broken["services"]["api"]["helthcheck"] = {}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)


def test_services_wait_for_what_is_there() -> None:
    services = compose()["services"]
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            condition = how["condition"]
            assert needed in services, name
            if condition == "service_healthy":
                assert "healthcheck" in services[needed], needed
            if condition == "service_completed_successfully":
                assert services[needed]["restart"] == "no"


def test_the_api_waits_for_migrations_and_nginx_for_the_api() -> None:
    services = compose()["services"]
    for name in ("api", "api-canary", "worker"):
        needed = services[name]["depends_on"]["migrate"]
        assert needed == {"condition": "service_completed_successfully"}
    assert set(services["nginx"]["depends_on"]) == {"api", "api-canary"}


def test_only_nginx_can_be_reached_and_only_from_here() -> None:
    published = {
        name: each["ports"] for name, each in compose()["services"].items() if "ports" in each
    }
    assert list(published) == ["nginx"]
    assert all(port.startswith("127.0.0.1:") for port in published["nginx"])


def test_nginx_is_given_all_that_its_configuration_asks_for() -> None:
    nginx = compose()["services"]["nginx"]
    template = (DEPLOY / "nginx/tally.conf.template").read_text()
    assert set(re.findall(r"\$\{(\w+)\}", template)) == set(nginx["environment"])
    (mount,) = nginx["volumes"]
    assert (DEPLOY / mount.split(":")[0]).is_file()


def test_nginx_begins_again_with_those_whose_addresses_it_knows() -> None:
    needed = compose()["services"]["nginx"]["depends_on"]
    assert all(each["restart"] is True for each in needed.values())


def test_health_is_asked_off_the_loop() -> None:
    for name in ("api", "api-canary", "worker"):
        (script,) = compose()["services"][name]["healthcheck"]["test"][3:]
        assert ":9108/health" in script
        compile(script, name, "exec")
