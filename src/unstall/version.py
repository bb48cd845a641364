"""The version as a literal: reading it from package metadata would cost every watched process 20 ms."""

VERSION = "0.1.0"
TOOL = f"unstall {VERSION}"
