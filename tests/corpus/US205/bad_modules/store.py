import yaml


def load(item: str) -> object:
    return yaml.safe_load(item)  # expect: US205 loop
