"""The pages of rules, from a checkout or from inside the wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_FOLDERS = (_PACKAGE / "_docs" / "rules", _PACKAGE.parents[1] / "docs" / "rules")


def page_of(code: str) -> str | None:
    """Markdown; None if the page is not beside this installation."""
    for folder in _FOLDERS:
        try:
            return (folder / f"{code}.md").read_text(encoding="utf-8")
        except OSError:
            continue
    return None
