"""What tests of several processes start them with."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

Start = Callable[..., "subprocess.CompletedProcess[str]"]
StartTwo = Callable[..., "list[subprocess.CompletedProcess[str]]"]
