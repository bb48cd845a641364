"""Test mode: what would block a loop is caught by what it is, not by how long it took today."""
