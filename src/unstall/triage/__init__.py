"""What a run comes to, decided from numbers. Pure functions."""
