"""Makes an incident happen on purpose, and judges what it did to bystanders."""
