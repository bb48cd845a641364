"""What other libraries are told: one module for each, which is imported by who uses it."""
