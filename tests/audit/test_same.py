"""One project has one report, whatever order sets have in a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

MAIN = """
from fastapi import FastAPI
from stores import store

app = FastAPI()


@app.get("/")
async def read():
    store().load()
"""
STORES = """
import time, os
class Alpha:
    def load(self): time.sleep(1); helper()
class Beta:
    def load(self): time.sleep(2); helper()
class Gamma:
    def load(self): time.sleep(3); helper()
def helper(): time.sleep(4)
def store():
    return {"a": Alpha, "b": Beta, "c": Gamma}[os.environ["STORE"]]()
"""
SHOW = "from pathlib import Path; from unstall.audit.audit import audit; print(audit(Path('.')))"


def test_the_order_of_sets_is_not_seen(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(MAIN)
    (tmp_path / "stores.py").write_text(STORES)

    told = {
        subprocess.run(
            [sys.executable, "-c", SHOW], cwd=tmp_path, env={"PYTHONHASHSEED": str(seed)},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in range(1, 4)
    }  # fmt: skip

    assert len(told) == 1
    assert "Gamma" in told.pop()
