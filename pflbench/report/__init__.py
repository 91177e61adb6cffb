"""What is seen: tables, terminal, pictures and pages, made from `pflbench.analysis`."""
