"""The manifests are valid, and what they say about each other is true."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import kubernetes_validate
import pytest
import yaml

from tally.settings import Settings
from tally.worker import service

DEPLOY = Path(__file__).parents[4] / "reference/tally/deploy"
VERSION = kubernetes_validate.latest_version()
MOST_CONNECTIONS, KEPT = 100, 3

Resource: TypeAlias = "dict[str, Any]"


def resources() -> list[Resource]:
    return [
        each
        for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
        for each in yaml.safe_load_all(path.read_text())
    ]


def of(kind: str) -> list[Resource]:
    return [each for each in resources() if each["kind"] == kind]


def named(kind: str, name: str) -> Resource:
    (found,) = [each for each in of(kind) if each["metadata"]["name"] == name]
    return found


def templates() -> Iterator[tuple[str, Resource]]:
    """The pods that are made, by what makes them."""
    for each in of("Deployment") + of("Job"):
        yield each["metadata"]["name"], each["spec"]["template"]


def containers() -> Iterator[tuple[str, Resource]]:
    for name, template in templates():
        for container in template["spec"]["containers"]:
            yield name, container


@pytest.mark.parametrize(
    "resource", resources(), ids=lambda each: f"{each['kind']}-{each['metadata']['name']}"
)
def test_each_is_what_the_cluster_takes(resource: Resource) -> None:
    kubernetes_validate.validate(resource, VERSION, strict=True)


def test_a_mistake_would_be_found() -> None:
    wrong = named("Deployment", "tally-api")
    wrong["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]["periodsSeconds"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


def test_kustomize_takes_every_file_and_no_other() -> None:
    kustomization = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())
    listed = {DEPLOY / each for each in kustomization["resources"]}
    assert listed == set((DEPLOY / "kubernetes").glob("*.yaml"))
    (generated,) = kustomization["configMapGenerator"]
    for each in generated["files"]:
        assert (DEPLOY / each.partition("=")[2]).is_file()
    assert generated["name"] in str(named("Deployment", "tally-nginx"))
    images = {each["name"] for each in kustomization["images"]}
    assert {each["image"] for _, each in containers() if ":" not in each["image"]} == images


# --- probes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tally-api", "tally-canary"])
def test_a_frozen_loop_is_told_from_a_slow_upstream(name: str) -> None:
    (container,) = named("Deployment", name)["spec"]["template"]["spec"]["containers"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    alive, ready = container["livenessProbe"], container["readinessProbe"]
    # Off the loop: the supervisor's port, so a loop that is only late is not killed for it.
    assert alive["httpGet"] == {"path": "/health", "port": "metrics"}
    assert alive["periodSeconds"] * alive["failureThreshold"] >= 30
    # Through the loop, and quick to take a pod out.
    assert ready["httpGet"] == {"path": "/readyz", "port": "http"}
    assert ready["periodSeconds"] * ready["failureThreshold"] <= 5
    # Neither may ask the database before a pod lives at all.
    assert container["startupProbe"]["httpGet"]["path"] == "/livez"
    assert ports == {"http": 8000, "metrics": 9108}


@pytest.mark.parametrize("name", ["tally-api", "tally-canary"])
def test_a_pod_that_waits_for_migrations_is_not_killed_for_it(name: str) -> None:
    """Nobody answers before the application has begun, and it begins when the tables are there."""
    (container,) = named("Deployment", name)["spec"]["template"]["spec"]["containers"]
    started = container["startupProbe"]
    waits_s = float(named("ConfigMap", "tally")["data"]["TALLY_SCHEMA_WAIT_S"])
    assert started["periodSeconds"] * started["failureThreshold"] >= waits_s + 15
    rollout = named("Deployment", name)["spec"]["progressDeadlineSeconds"]
    assert rollout > started["periodSeconds"] * started["failureThreshold"]


def test_pods_end_in_peace() -> None:
    command = re.search(
        r"^CMD (\[.*\])", (DEPLOY / "Dockerfile").read_text(), re.DOTALL | re.MULTILINE
    )
    assert command
    graceful = int(re.findall(r'"--timeout-graceful-shutdown", "(\d+)"', command[1])[0])
    for name in ("tally-api", "tally-canary"):
        spec = named("Deployment", name)["spec"]["template"]["spec"]
        pause = int(spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
        assert pause + graceful < spec["terminationGracePeriodSeconds"]


# --- arithmetic --------------------------------------------------------------------------------


def test_connections_fit_while_a_release_rolls_out() -> None:
    data = named("ConfigMap", "tally")["data"]
    (workers,) = re.findall(r'"--workers", "(\d+)"', (DEPLOY / "Dockerfile").read_text())
    of_one_process = int(data["TALLY_POOL_SIZE"]) + 1  # and one that asks if the database is there
    pods = most_pods("tally-api") + most_pods("tally-canary")
    of_one_worker = service.CONNECTIONS + 2  # the same, and one that opens and drops days
    needed = pods * int(workers) * of_one_process + most_pods("tally-worker") * of_one_worker
    assert needed <= MOST_CONNECTIONS - KEPT
    scaled = named("HorizontalPodAutoscaler", "tally-api")["spec"]["maxReplicas"]
    canaries = named("Deployment", "tally-canary")["spec"]["replicas"]
    assert int(data["TALLY_WORKERS"]) == (scaled + canaries) * int(workers)


def most_pods(name: str) -> int:
    spec = named("Deployment", name)["spec"]
    autoscalers = [
        each["spec"]["maxReplicas"]
        for each in of("HorizontalPodAutoscaler")
        if each["spec"]["scaleTargetRef"]["name"] == name
    ]
    most = int(autoscalers[0] if autoscalers else spec["replicas"])
    assert not (autoscalers and "replicas" in spec), (
        "each deploy would undo the autoscaler's number"
    )
    surge = str(spec["strategy"]["rollingUpdate"]["maxSurge"])
    more = math.ceil(most * int(surge[:-1]) / 100) if surge.endswith("%") else int(surge)
    return most + more


def test_settings_can_be_read() -> None:
    data = named("ConfigMap", "tally")["data"]
    settings = Settings.from_environ(data | {"DATABASE_URL": "postgresql://db/tally"})
    assert settings.stage == "async"
    assert len(settings.billing_urls) == 3
    assert settings.schema_wait_s > 0


# --- what selects what -------------------------------------------------------------------------


def test_every_selector_finds_pods() -> None:
    pods = [template["metadata"]["labels"] for _, template in templates()]
    selectors = [each["spec"]["selector"] for each in of("Service")] + [
        each["spec"]["selector"]["matchLabels"]
        for each in of("Deployment") + of("PodDisruptionBudget")
    ]
    for selector in selectors:
        assert any(selector.items() <= labels.items() for labels in pods), selector


def test_the_canary_gets_no_request_that_is_not_meant_for_it() -> None:
    labels = {name: template["metadata"]["labels"] for name, template in templates()}
    for name, other in (("tally-stable", "tally-canary"), ("tally-canary", "tally-api")):
        selector = named("Service", name)["spec"]["selector"]
        assert not selector.items() <= labels[other].items()


def test_nginx_knows_the_services_by_their_names() -> None:
    (container,) = named("Deployment", "tally-nginx")["spec"]["template"]["spec"]["containers"]
    env = {each["name"]: each["value"] for each in container["env"]}
    for key in ("STABLE", "CANARY"):
        name, port = env[key].split(":")
        assert named("Service", name)["spec"]["ports"][0]["port"] == int(port)
    template = (DEPLOY / "nginx/tally.conf.template").read_text()
    assert set(re.findall(r"\$\{(\w+)\}", template)) == set(env)


def test_the_canary_differs_in_its_image_and_labels_alone() -> None:
    stable, canary = (
        named("Deployment", name)["spec"]["template"] for name in ("tally-api", "tally-canary")
    )
    assert canary["spec"]["containers"][0].pop("image") == "tally-canary"
    assert stable["spec"]["containers"][0].pop("image") == "tally"
    assert canary["spec"] == stable["spec"]


# --- safety ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "container"), list(containers()), ids=lambda each: str(each)[:14])
def test_containers_are_locked_up(name: str, container: Resource) -> None:
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]
    assert "cpu" not in container["resources"]["limits"], "a throttled loop is a frozen loop"
    assert {"cpu", "memory"} <= set(container["resources"]["requests"])
    assert not container["image"].endswith(":latest"), name


@pytest.mark.parametrize(("name", "template"), list(templates()), ids=lambda each: str(each)[:14])
def test_where_nothing_can_be_written_there_is_a_temporary_folder(
    name: str, template: Resource
) -> None:
    """Python will not say which folder is the temporary one until it has found one to write to."""
    volumes = {each["name"]: each for each in template["spec"].get("volumes", ())}
    for container in template["spec"]["containers"]:
        places = {each["mountPath"]: each for each in container.get("volumeMounts", ())}
        assert "/tmp" in places, name
        assert "emptyDir" in volumes[places["/tmp"]["name"]]


def test_uploads_pass_every_door() -> None:
    most = Settings("").limits.upload_bytes
    template = (DEPLOY / "nginx/tally.conf.template").read_text()
    (own,) = re.findall(r"location = /v1/imports \{\s+client_max_body_size (\d+)m;", template)
    annotations = named("Ingress", "tally")["metadata"]["annotations"]
    before = annotations["nginx.ingress.kubernetes.io/proxy-body-size"]
    assert most < int(own) << 20 <= int(before.removesuffix("m")) << 20


def test_pods_are_locked_up() -> None:
    for _, template in templates():
        context = template["spec"]["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert template["spec"]["automountServiceAccountToken"] is False


def test_no_secret_is_in_the_repository() -> None:
    assert of("Secret") == []
    assert "DATABASE_URL" not in named("ConfigMap", "tally")["data"]
