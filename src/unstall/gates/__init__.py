"""Pools seen from outside: the wait for a slot, the hold, time-outs, and who holds one and asks for two."""
