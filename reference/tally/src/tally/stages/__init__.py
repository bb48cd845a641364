"""Three compositions of one service: as teams write it, as the case study cured it, as it should be."""

from __future__ import annotations

from fastapi import FastAPI

from tally.settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """Only the chosen stage is imported: the others bring libraries that it does not need."""
    if settings.stage == "blocking":
        from tally.stages import blocking

        return blocking.app(settings)
    if settings.stage == "offloaded":
        from tally.stages import offloaded

        return offloaded.app(settings)
    from tally.stages import async_

    return async_.app(settings)
