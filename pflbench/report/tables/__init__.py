"""Boards as text, Markdown, CSV and LaTeX."""
