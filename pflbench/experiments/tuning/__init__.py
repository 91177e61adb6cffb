"""Equal tuning: the same number of trials for every method, selected on validation."""
