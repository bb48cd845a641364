"""What the figures of a run were taken on."""

from __future__ import annotations

import os
import platform


def machine() -> dict[str, str]:
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "processors": str(os.cpu_count() or 0),
    }
