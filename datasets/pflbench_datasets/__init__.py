"""Data sets, each a plugin of pflbench."""
