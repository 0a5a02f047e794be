"""Sequences that nobody thought of: a state machine drives an engine and an oracle side by side."""
