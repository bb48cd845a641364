"""Refuses early and says why: admission, payload, rates, switches, and deadlines that tell what goes on.

Pure ASGI. What is known of loops and lanes comes in as callables; `unstall.integrations` wires them.
"""
