import subprocess


def load(item: str) -> object:
    return subprocess.getoutput(f'file {item}')  # expect: US107 loop
