"""What a report costs: it imports nothing that it does not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_PROBE = """
import sys
from pflbench.cli.main import main
try:
    main(sys.argv[1:], prog_name="pflbench")
except SystemExit as end:
    assert not end.code, end.code
heavy = {"torch", "matplotlib.pyplot"} & set(sys.modules)
assert not heavy, heavy
if sys.platform == "linux":  # getrusage would tell the most of the process before exec, too
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    assert int(peak.split()[1]) * 1024 < 330e6, peak
"""


@pytest.mark.slow
def test_a_report_needs_no_torch_and_a_third_of_a_gigabyte(tmp_path: Path) -> None:
    """The 126 published runs; torch alone takes half a gigabyte."""
    tuned = Path(__file__).parents[2] / "results" / "tuned"
    out = tmp_path / "report.html"
    subprocess.run(
        [sys.executable, "-c", _PROBE, "report", "--results", str(tuned), "--out", str(out)],
        check=True,
    )
    assert out.stat().st_size > 1_000_000
