"""Variables from a `.env` file: what an app reads itself, or its server with `--env-file`."""

from __future__ import annotations

import re
from pathlib import Path

from unstall.errors import UsageError

_LINE = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?([A-Za-z_][\w.]*)[ \t]*=[ \t]*('[^']*'|"(?:[^"\\]|\\.)*"|[^\n]*)""",
    re.MULTILINE,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def read_env_file(path: Path) -> dict[str, str]:
    """Raises UsageError if the file cannot be read."""
    try:
        return variables(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"--env-file {path} cannot be read ({error.strerror}): name the file that the app reads"
        ) from None
    except UnicodeDecodeError as error:
        raise UsageError(
            f"--env-file {path} is not UTF-8 ({error.reason}): save it as UTF-8"
        ) from None


def variables(text: str) -> dict[str, str]:
    """Of several lines for one variable the last counts; `${…}` is left as it stands."""
    return {match[1]: _value(match[2]) for match in _LINE.finditer(text)}


def _value(text: str) -> str:
    if text[:1] == "'":
        return text[1:-1] if len(text) > 1 and text.endswith("'") else text
    if text[:1] == '"' and len(text) > 1 and text.endswith('"'):
        return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), text[1:-1])
    return re.split(r"\s#|^#", text, maxsplit=1)[0].strip()
