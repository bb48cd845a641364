"""A recording made behind proxies, told as if there were none.

The app talks to the proxy's address, so that is the peer that its monitor sees. Who reads a report knows the
address that their own environment names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from unstall.model.recording import Recording, read

_ADDRESS = re.compile(r"(?<![\w.:\]])(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][\w.-]*):(\d{1,5})(?![\w:])")


def read_behind(path: Path, names: Mapping[str, str]) -> Recording:
    """The recording, with each address that `names` has replaced by what it stands for.

    Raises what `read` does. The file keeps the names as well.
    """
    if names and path.is_file():
        text = path.read_text(encoding="utf-8", errors="replace")
        path.write_text(renamed(text, names), encoding="utf-8")
    return read(path)


def renamed(text: str, names: Mapping[str, str]) -> str:
    return _ADDRESS.sub(lambda match: names.get(match[0], match[0]), text)
