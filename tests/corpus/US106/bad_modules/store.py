import shutil
from pathlib import Path

ROOT = Path("data")


def load(item: str) -> object:
    shutil.copytree(ROOT / item, ROOT / 'copy')  # expect: US106 loop
    return item
