"""Auth and flags, asked without blocking, by one shared client."""
