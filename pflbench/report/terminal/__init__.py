"""Terminal output: its width, encodings, units and tables."""
