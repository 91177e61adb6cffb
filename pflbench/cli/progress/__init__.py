"""Progress of one cell, of many, and of cells whose output is a file."""
