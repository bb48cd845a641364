def load(item: str) -> object:
    import polars  # expect: US112 loop

    return polars.Series([item]).len()
