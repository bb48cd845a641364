"""What is done later: imports, billing, upkeep. `python -m tally worker` runs it."""
