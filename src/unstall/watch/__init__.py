"""Watches running event loops and writes down what it sees."""
