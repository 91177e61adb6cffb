"""What `pflbench check` prints."""

from __future__ import annotations

import rich_click as click

from pflbench.conformance import Outcome
from pflbench.conformance import check as check_plugin

_MARKS = {"passed": ("✓", "green"), "failed": ("✗", "red"), "skipped": ("–", "yellow")}


def check_rules(name: str) -> int:
    """Run the conformance kit on a plugin; return the exit status."""
    report = check_plugin(name, told=_print_outcome)
    passed, failed, skipped = (report.count(s) for s in ("passed", "failed", "skipped"))
    click.echo(
        f"\n{report.name} ({report.kind}): {passed} passed, {failed} failed, {skipped} skipped."
    )
    return 0 if report.passed else 1


def _print_outcome(outcome: Outcome) -> None:
    mark, color = _MARKS[outcome.status]
    line = (
        f"{click.style(mark, fg=color)} {outcome.title} {click.style(_seconds(outcome), dim=True)}"
    )
    click.echo(line)
    if outcome.reason:
        click.echo(f"    {outcome.status}: {outcome.reason}")


def _seconds(outcome: Outcome) -> str:
    return f"({outcome.seconds:.1f} s)"
