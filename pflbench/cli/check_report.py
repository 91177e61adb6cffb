"""The output of `pflbench check`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from pflbench.conformance import Outcome
from pflbench.conformance import check as check_plugin
from pflbench.conformance.golden import replay
from pflbench.report.terminal.screen import literal, show, table
from pflbench.schema.error_text import plain
from pflbench.schema.specs import AlgorithmSpec

_MARKS = {"passed": ("✓", "green"), "failed": ("✗", "red"), "skipped": ("–", "yellow")}


def check_rules(name: str, *, debug: bool) -> int:
    """Run the conformance kit on a plugin; return the exit status.

    A cause of several failed checks is reported once, under `debug` with its traceback.
    """
    causes: dict[str, list[Outcome]] = {}

    def told(outcome: Outcome) -> None:
        alike = causes.setdefault(outcome.cause or outcome.check, [])
        alike.append(outcome)
        _print_outcome(outcome, again=len(alike) > 1, debug=debug)

    report = check_plugin(name, told=told)
    for alike in causes.values():
        if len(alike) > 1:
            click.echo(f"\n{len(alike)} checks failed of one cause: {plain(alike[0].reason)}")
    passed, failed, skipped = (report.count(s) for s in ("passed", "failed", "skipped"))
    click.echo(
        f"\n{report.name} ({report.kind}): {passed} passed, {failed} failed, {skipped} skipped."
    )
    return 0 if report.passed else 1


def check_recording(spec: AlgorithmSpec, path: Path, tolerance: float, engine: str) -> int:
    """Replay a recorded run of the official code; return the exit status."""
    replayed = replay(spec, path, engine)
    made = table("Quantity", "Largest difference", "")
    made.columns[1].justify = "right"
    for quantity, gap in replayed.differences.items():
        verdict = "[green]ok[/green]" if gap <= tolerance else f"[red]above {tolerance:g}[/red]"
        made.add_row(literal(quantity), f"{gap:.2e}", verdict)
    show(made)
    if replayed.not_compared:
        click.echo(f"Not compared: {', '.join(replayed.not_compared)}.")
    good = replayed.within(tolerance)
    words = "replays" if good else "does not replay"
    click.echo(f"{spec.name} {words} {path} within {tolerance:g}.")
    return 0 if good else 1


def _print_outcome(outcome: Outcome, *, again: bool, debug: bool) -> None:
    mark, color = _MARKS[outcome.status]
    line = (
        f"{click.style(mark, fg=color)} {outcome.title} {click.style(_seconds(outcome), dim=True)}"
    )
    click.echo(line)
    if outcome.reason and not again:
        click.echo(f"    {outcome.status}: {plain(outcome.reason)}")
        if debug and outcome.trace:
            click.echo("\n".join(f"    {plain(line)}" for line in outcome.trace.splitlines()))


def _seconds(outcome: Outcome) -> str:
    return f"({outcome.seconds:.1f} s)"
