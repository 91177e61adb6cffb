"""The cost of a round on this machine: `python -m pflbench.bench`."""
