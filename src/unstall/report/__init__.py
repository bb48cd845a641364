"""What was found, written down: for people, for programs. Values in, text out."""
