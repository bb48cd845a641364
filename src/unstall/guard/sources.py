"""Where the states of switches come from. Each is read on a thread, and may take its time."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from unstall.errors import UsageError

_ON: Final = frozenset({"on", "1", "true", "yes"})
_OFF: Final = frozenset({"off", "0", "false", "no"})
_PERCENT: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*%\s*(.*)", re.DOTALL)
_PREFIX: Final = "UNSTALL_SWITCH_"


@dataclass(frozen=True, slots=True)
class State:
    """`percent` of all keys are in, and those of `allow` as well; 0 with nobody on the list is off for
    all.
    """

    percent: float = 100.0
    allow: frozenset[str] = frozenset()


ON: Final = State()
OFF: Final = State(0.0)


def state_of(value: object, where: str) -> State:
    """From `on`, `off`, `25%`, `25% alice bob`, a boolean, or a table of percent and allow. Raises
    UsageError.
    """
    if isinstance(value, bool):
        return ON if value else OFF
    if isinstance(value, Mapping):
        return _of_table(value, where)
    text = str(value).strip()
    if text.lower() in _ON:
        return ON
    if text.lower() in _OFF:
        return OFF
    found = _PERCENT.fullmatch(text)
    if found is not None and float(found.group(1)) <= 100:
        return State(
            float(found.group(1)), frozenset(re.split(r"[\s,]+", found.group(2).strip())) - {""}
        )
    raise UsageError(
        f"the switch in {where} is {text[:80]!r}: write on, off, '25%' or '25% alice bob'"
    )


def _of_table(table: Mapping[str, Any], where: str) -> State:
    unknown = set(table) - {"on", "percent", "allow"}
    percent, allow = table.get("percent", 100.0), table.get("allow", ())
    wrong = (
        unknown
        or isinstance(percent, bool)
        or not isinstance(percent, int | float)
        or not 0 <= percent <= 100
        or not isinstance(allow, list | tuple)
    )
    if wrong:
        raise UsageError(
            f"the switch in {where} is {dict(table)!r}: write on = true, percent = 25 and allow = ['alice']"
        )
    if table.get("on", True) is False:
        return OFF
    return State(float(percent), frozenset(map(str, allow)))


class Source(Protocol):
    def read(self) -> dict[str, State]:
        """Every switch that it knows. Raises whatever goes wrong."""
        ...


class EnvironmentSource:
    """`UNSTALL_SWITCH_ENRICHMENT=25%`; what is neither letter nor digit in a name is `_` there."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ

    def read(self) -> dict[str, State]:
        found = [(key, text) for key, text in self._environ.items() if key.startswith(_PREFIX)]
        return {
            key.removeprefix(_PREFIX).lower(): state_of(text, key) for key, text in found if text
        }


class FileSource:
    """TOML, or JSON by its name: the table `switches`, or the whole file."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    def read(self) -> dict[str, State]:
        text = self._path.read_text(encoding="utf-8")
        table = json.loads(text) if self._path.suffix == ".json" else tomllib.loads(text)
        found = table.get("switches", table)
        return {
            key_of(name): state_of(value, f"{name} of {self._path}")
            for name, value in found.items()
        }


class RedisSource:
    """A hash in Redis or Valkey: `HSET unstall:switches enrichment 25%`."""

    def __init__(self, address: str, key: str = "unstall:switches") -> None:
        try:
            import redis
        except ImportError:
            raise UsageError(
                "switches in Redis need redis-py, which is not installed: pip install redis"
            ) from None
        self._key = key
        self._client: Any = redis.Redis.from_url(
            address, socket_timeout=2.0, socket_connect_timeout=2.0, decode_responses=True
        )

    def read(self) -> dict[str, State]:
        found: Any = self._client.hgetall(self._key)
        return {
            key_of(name): state_of(text, f"{name} of {self._key}") for name, text in found.items()
        }


def source_of(text: str) -> Source:
    """An address of Redis, else the path of a file."""
    if text.startswith(("redis://", "rediss://", "unix://", "valkey://")):
        return RedisSource(text.replace("valkey://", "redis://", 1))
    return FileSource(text)


def key_of(name: str) -> str:
    """As names are compared, so that a variable of the environment can say each."""
    return re.sub(r"[^a-z0-9]", "_", name.lower())
