"""Locust as a second engine: its locustfiles as they are, in processes of their own, beside our witness.

Importing Locust patches the whole process for gevent, so unstall never does: it starts Locust, hands it a
listener, and reads what that wrote.
"""

from unstall.load.locusts.command import Crew, Locust, find_locust
from unstall.load.locusts.engine import Told, run_locust, work
from unstall.load.locusts.written import locustfile_of

__all__ = ["Crew", "Locust", "Told", "find_locust", "locustfile_of", "run_locust", "work"]
