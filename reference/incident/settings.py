"""What the service reads from its environment, once, when it starts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


class SettingsError(ValueError):
    """A variable has a value that cannot be used; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that changes how the incident plays out. Durations are in seconds.

    probability    share of the calls that go wrong, 0 to 1
    seconds        how long a call that goes wrong sleeps; only with the source `sleep`
    source         `downstream`: a real HTTP call to a pod; `sleep`: a sleep, or no call at all
    pods           base URLs; the first is the pod that hangs
    seed           of the dice
    lane_threads   calls at the same time in the lane
    lane_queue     calls that may wait for one of those threads
    lane_timeout   how long a call may wait before it is refused
    """

    probability: float = 0.05
    seconds: float = 15.0
    source: str = "sleep"
    pods: tuple[str, ...] = ()
    seed: int = 0
    lane_threads: int = 8
    lane_queue: int = 8
    lane_timeout: float = 1.0

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read `INCIDENT_*`. Without a source, pods mean `downstream` and no pods mean `sleep`.

        Raises `SettingsError` at the first value that cannot be used.
        """
        pods = tuple(
            url.strip().rstrip("/")
            for url in environ.get("INCIDENT_DOWNSTREAM", "").split(",")
            if url.strip()
        )
        source = environ.get("INCIDENT_SOURCE") or ("downstream" if pods else "sleep")
        if source not in ("downstream", "sleep"):
            raise SettingsError(f"INCIDENT_SOURCE must be downstream or sleep, not {source!r}")
        if source == "downstream" and not pods:
            raise SettingsError(
                "INCIDENT_SOURCE=downstream needs INCIDENT_DOWNSTREAM, a list of base URLs"
            )
        for url in pods:
            if not url.startswith(("http://", "https://")):
                raise SettingsError(f"INCIDENT_DOWNSTREAM must list http:// URLs, not {url!r}")
        return cls(
            probability=_number(environ, "INCIDENT_PROBABILITY", cls().probability, 0, 1),
            seconds=_number(environ, "INCIDENT_SECONDS", cls().seconds, 0),
            source=source,
            pods=pods,
            seed=_whole(environ, "INCIDENT_SEED", cls().seed, 0),
            lane_threads=_whole(environ, "INCIDENT_LANE_THREADS", cls().lane_threads, 1),
            lane_queue=_whole(environ, "INCIDENT_LANE_QUEUE", cls().lane_queue, 0),
            lane_timeout=_number(environ, "INCIDENT_LANE_TIMEOUT", cls().lane_timeout, 0.01),
        )


def _number(
    environ: Mapping[str, str], name: str, default: float, low: float, high: float = math.inf
) -> float:
    text = environ.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and low <= value <= high):
        bounds = f"{low:g} or more" if high == math.inf else f"from {low:g} to {high:g}"
        raise SettingsError(f"{name} must be a number, {bounds}, not {text!r}")
    return value


def _whole(environ: Mapping[str, str], name: str, default: int, low: int) -> int:
    text = environ.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) < low:
        raise SettingsError(f"{name} must be a whole number, {low} or more, not {text!r}")
    return int(text)
