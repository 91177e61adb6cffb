"""Settings of the whole suite."""

from __future__ import annotations

from hypothesis import settings

# Two shared cores: a slow moment says nothing about the code.
settings.register_profile("pflbench", deadline=None)
settings.load_profile("pflbench")
