"""Use cases: put, get, plan, apply, status. They return results and never print."""
