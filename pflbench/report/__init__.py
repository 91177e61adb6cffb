"""Reports: leaderboards, pictures and commands on one page that needs no network."""

from __future__ import annotations

from pflbench.report.html import render
from pflbench.report.page import report
from pflbench.report.record import Report

__all__ = ["Report", "render", "report"]
