"""Tools of the tests: faults that are really injected, and helpers to look at what they did."""
