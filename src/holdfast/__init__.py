"""holdfast: an autopilot for distributed storage."""
