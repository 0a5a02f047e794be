"""Deliberate defects, each of which a named test must catch."""
