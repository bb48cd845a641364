"""Our own generator in a process of its own, on one core.

    python -m benchmarks.support.sending PORT PATH RATE SECONDS USERS CORE     CORE may be `-`

With USERS above 0 a closed crowd asks in place of the schedule. Prints the outcome as JSON, with the CPU
that it took.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from benchmarks.support.machine import pin
from unstall.load import (
    Crowd,
    Outcome,
    quiet_gc,
    run_on_best,
    run_scenarios,
    run_users,
)
from unstall.load.files import raise_file_limit
from unstall.model.plan import Scenario, Stage, WitnessPlan

WITNESS_RATE = 20.0
DRAIN_S = 10.0


async def opened(url: str, path: str, rate: float, seconds: float) -> Outcome:
    scenario = Scenario("load", path=path, stages=(Stage(rate, seconds),))
    witness = WitnessPlan("/", WITNESS_RATE)
    return (await run_scenarios(url, [scenario], witness, seed=1, drain_s=DRAIN_S)).outcome


async def closed(url: str, path: str, users: int, rate: float, seconds: float) -> Outcome:
    """So many users that ask at the rate if they are answered at once."""
    pause = users / rate
    crowd = Crowd("load", path, users, users, seconds, (pause, pause))
    return await run_users(url, crowd, drain_s=DRAIN_S)


def main(port: int, path: str, rate: float, seconds: float, users: int, core: str) -> None:
    pin(None if core == "-" else int(core))
    raise_file_limit()
    url = f"http://127.0.0.1:{port}"
    from_s = time.process_time()  # imports are no part of the load
    with quiet_gc():
        if users:
            outcome = asyncio.run(closed(url, path, users, rate, seconds))
        else:
            outcome = run_on_best(opened(url, path, rate, seconds))
    json.dump({**outcome.to_json(), "cpu_s": time.process_time() - from_s}, sys.stdout)


if __name__ == "__main__":
    main(
        int(sys.argv[1]),
        sys.argv[2],
        float(sys.argv[3]),
        float(sys.argv[4]),
        int(sys.argv[5]),
        sys.argv[6],
    )
