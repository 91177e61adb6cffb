"""Presentation: tables, terminal, pictures and pages, made from `pflbench.analysis`."""
