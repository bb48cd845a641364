"""Routes that every stage has."""
