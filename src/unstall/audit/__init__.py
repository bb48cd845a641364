"""Source to findings: which step of which request can block the loop, through which calls, and why."""
