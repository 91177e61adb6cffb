"""`python -m pflbench`: the command line."""

from __future__ import annotations

from pflbench.cli.main import main

if __name__ == "__main__":
    main(prog_name="pflbench")
