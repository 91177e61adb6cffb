"""What a round costs on this machine: `python -m pflbench.bench`."""
