"""The plan that the demonstration plays."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from tally.errors import Unable

PLAN = "billing.toml"


def plans() -> Path:
    """In the repository they stand beside the sources, in a wheel within the package."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "plans", package.parents[1] / "plans"):
        if (folder / PLAN).is_file():
            return folder
    raise Unable(f"the plans are not beside {package}: install tally again, or run from a checkout")


def plan_for(seconds: float | None, rate: float | None, folder: Path) -> Path:
    """The plan as it stands, or a copy in `folder` with other figures."""
    source = plans()
    if seconds is None and rate is None:
        return source / PLAN
    for each in source.iterdir():
        shutil.copyfile(each, folder / each.name)
    text = (source / PLAN).read_text()
    if seconds is not None:
        text = changed(text, "[[scenario]]", "seconds", seconds)
    if rate is not None:
        text = changed(text, "[[scenario]]", "rate", rate, most=1)  # the first is ingest
    where = json.dumps(str(source))  # paths are told from where the app is started
    copy = folder / PLAN
    copy.write_text(text.replace("[app]\n", f"[app]\nfolder = {where}\n", 1))
    return copy


def changed(text: str, table: str, key: str, value: float, most: int = 0) -> str:
    """A plan with another number at `key` in such tables: in the first `most`, or in all."""
    lines: list[str] = []
    now, met = "", 0
    for line in text.splitlines():
        now = line if line.startswith("[") else now
        hit = now == table and re.match(rf"{key}\s*=", line) and (met < most or not most)
        met += bool(hit)
        lines.append(f"{key} = {value:g}" if hit else line)
    return "\n".join(lines) + "\n"
