"""`unstall run`: starts a command, and listens to every Python process in it that runs an event loop.

`site/` and `child` run inside those processes, `wire` is their end of the socket; the rest is the parent.
"""
