"""What a terminal shows: its width, encodings, units and tables."""
