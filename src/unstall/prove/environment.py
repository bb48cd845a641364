"""Where upstreams are, by the environment variables that the app has already; and the same, elsewhere.

Understood: URLs, lists of URLs, URLs with several hosts, `host:port`, lists of them, a host whose port
stands in a variable of its own, and the `key=value` form of libpq. All else stays byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from unstall.errors import UsageError
from unstall.prove.spots import Address, Found, Spot, in_dsn, in_pairs, in_urls, is_dsn
from unstall.triage.secrets import in_value

__all__ = ["Address", "addresses", "rewritten", "tls_gap"]

_CERTIFICATE = frozenset(
    "amqps bolt+s clickhouses ftps https imaps ldaps mqtts mysqls nats+tls neo4j+s rediss sasl_ssl smtps ssl "
    "tls valkeys wss".split()
)
"""Schemes whose clients compare the name in the server's certificate with the one they were given."""
_CHECKED = re.compile(r"\b(?:sslmode|ssl)=verify-full\b|\b(?:ssl|tls)=(?:true|1)\b", re.IGNORECASE)


def addresses(name: str, env: Mapping[str, str]) -> tuple[Address, ...]:
    """Where the variable's upstreams listen, in its order. Raises UsageError, and never tells a password."""
    return _found(name, env).addresses


def rewritten(
    name: str, env: Mapping[str, str], new_addresses: Sequence[Address | tuple[str, int]]
) -> dict[str, str]:
    """The environment with those upstreams at `new_addresses`, one for each. Raises UsageError."""
    found = _found(name, env)
    new = [Address(*each) for each in new_addresses]
    if len(new) != len(found.addresses):
        raise UsageError(
            f"{name} names {len(found.addresses)} addresses and {len(new)} were given in their place: "
            "give one for each"
        )
    result = dict(env)
    for spot in sorted(found.spots, key=lambda spot: spot.start, reverse=True):
        value = result[spot.variable]
        result[spot.variable] = value[: spot.start] + _text(spot, new) + value[spot.end :]
    return result


def tls_gap(name: str, env: Mapping[str, str]) -> str | None:
    """What a proxy before it cannot show, in a sentence; None where nothing checks a server's name."""
    found, value = _found(name, env), env[name]
    schemes = {match.lower() for match in re.findall(r"([A-Za-z][\w+.-]*)://", value)}
    if not (schemes & _CERTIFICATE or _CHECKED.search(value)) or "hostaddr" in value:
        return None
    hosts = ", ".join(dict.fromkeys(each.host for each in found.addresses))
    return (
        f"{name} is reached with TLS, now under the proxy's address and no longer as {hosts}: a client that "
        "checks the name in the certificate refuses it"
    )


def _text(spot: Spot, new: Sequence[Address]) -> str:
    return spot.lead + ",".join(
        spot.template.format(
            host=new[at].bracketed if spot.brackets else new[at].host, port=new[at].port
        )
        for at in spot.of
    )


def _found(name: str, env: Mapping[str, str]) -> Found:
    value = env.get(name, "")
    if not value.strip():
        raise UsageError(_not_set(name, env))
    if "://" in value:
        found = in_urls(name, value)
    elif is_dsn(value):
        found = in_dsn(name, value)
    else:
        found = in_pairs(name, value, env)
    if isinstance(found, str):
        raise UsageError(f"{name} is {in_value(name, value)!r}, {found}")
    return found


def _not_set(name: str, env: Mapping[str, str]) -> str:
    others = sorted(each for each, value in env.items() if value.strip() and each != name)
    near = get_close_matches(name, others, n=1) or [o for o in others if o.startswith(f"{name}_")]
    advice = (
        f"did you mean {near[0]}?"
        if near
        else "set it in env of [app], or name a file with --env-file"
    )
    state = "is empty" if name in env else "is not set"
    return f"{name} {state}, and so it names no upstream; {advice}"
