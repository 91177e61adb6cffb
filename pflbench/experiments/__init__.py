"""Many cells: grids, tuning, and the executors that run them."""
