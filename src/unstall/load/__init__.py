"""Traffic with known intentions: open-model streams, closed-model users, and what came back."""

from unstall.load.arrivals import constant, poisson
from unstall.load.engine import Stream, run, witness
from unstall.load.pacing import quiet_gc
from unstall.load.users import Crowd, run_users
from unstall.model.outcome import Outcome, Progress, StreamOutcome

__all__ = [
    "Crowd",
    "Outcome",
    "Progress",
    "Stream",
    "StreamOutcome",
    "constant",
    "poisson",
    "quiet_gc",
    "run",
    "run_users",
    "witness",
]
