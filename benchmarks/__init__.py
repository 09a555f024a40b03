"""What imd costs and how long it takes, measured from outside on this machine. `python -m benchmarks` runs all of it;
docs/benchmarks.md says how to read the figures. Nothing here is a test: no figure passes or fails."""
