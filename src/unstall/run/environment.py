"""What the command finds in its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from unstall.settings import working_folder

SITE = Path(__file__).parent / "site"


def child_environment(
    environ: Mapping[str, str],
    socket: Path,
    threshold: str | None = None,
    *,
    inside_c: bool = False,
    latent: bool = False,
) -> dict[str, str]:
    """The caller's own, and what makes every Python below it look here first.

    An environment variable, because that is what all descendants inherit: spawned workers, reloaders,
    shells in between.
    """
    path = environ.get("PYTHONPATH")
    child = dict(environ)
    child["PYTHONPATH"] = f"{SITE}{os.pathsep}{path}" if path else str(SITE)
    child["UNSTALL_SOCKET"] = str(socket)
    child.setdefault("UNSTALL_ROOT", str(working_folder()))
    if inside_c:
        child["UNSTALL_INSIDE_C"] = "1"
    if latent:
        child["UNSTALL_LATENT"] = "1"
    if threshold is not None:
        child["UNSTALL_THRESHOLD_MS"] = threshold
    return child
