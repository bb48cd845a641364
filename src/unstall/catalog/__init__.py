"""What blocks a loop, as data."""
