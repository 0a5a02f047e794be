"""The store under faults that are really injected."""
