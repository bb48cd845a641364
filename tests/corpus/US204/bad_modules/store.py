import pandas as pd


def load(item: str) -> object:
    frame = pd.read_parquet(item)  # expect: US204 loop
    return frame.groupby("day").sum().to_json()  # expect: US204 loop
