"""One blocking call in one async dependency, and how it stops a whole service."""
