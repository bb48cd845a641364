"""A plan as people write it, in TOML, and as a value."""

from unstall.plans.files import find_plan, read_plan
from unstall.plans.plan import plan_of

__all__ = ["find_plan", "plan_of", "read_plan"]
