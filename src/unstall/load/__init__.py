"""Traffic with known intentions: open-model streams, closed-model users, and what came back."""

from unstall.load.arrivals import constant, poisson, stepped
from unstall.load.engine import Share, Stream, run, witness
from unstall.load.flows import Answer, Client, FlowError
from unstall.load.loops import run_on_best
from unstall.load.pacing import quiet_gc
from unstall.load.place import Place, place_of
from unstall.load.scenarios import Loaded, run_scenarios
from unstall.load.users import Crowd, run_users
from unstall.model.outcome import Outcome, Progress, StreamOutcome

__all__ = [
    "Answer",
    "Client",
    "Crowd",
    "FlowError",
    "Loaded",
    "Outcome",
    "Place",
    "Progress",
    "Share",
    "Stream",
    "StreamOutcome",
    "constant",
    "place_of",
    "poisson",
    "quiet_gc",
    "run",
    "run_on_best",
    "run_scenarios",
    "run_users",
    "stepped",
    "witness",
]
