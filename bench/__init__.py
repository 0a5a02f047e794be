"""What holdfast does to the machine's ceilings, measured in one run.

`make bench` prints a table and writes JSON to bench/results. The method is told in
docs/explanation/performance.md. Only `engines.api` of the product is used, and the placement table.
"""
