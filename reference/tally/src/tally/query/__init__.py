"""Aggregates from the rollups: asked, cached, limited."""
