"""`uvicorn tally.app:app`: the stage that TALLY_STAGE names."""

from __future__ import annotations

import os

from tally.settings import Settings, SettingsError
from tally.stages import create_app

try:
    app = create_app(Settings.from_environ(os.environ))
except SettingsError as error:
    raise SystemExit(f"tally: {error}") from None
