"""Named, bounded places to run blocking work off the loop: threads, processes, subinterpreters.

Nothing is imported here, because a worker process imports this package before it can work.
"""
