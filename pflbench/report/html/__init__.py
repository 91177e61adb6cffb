"""Reports: leaderboards, pictures and commands on one page that needs no network."""

from __future__ import annotations

from pflbench.report.html.markup import render
from pflbench.report.html.page import check_packages, report
from pflbench.report.html.page_record import Report

__all__ = ["Report", "check_packages", "render", "report"]
