"""A report as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Any, Final

import jinja2
from markupsafe import Markup

from pflbench.report.html.page_record import Report
from pflbench.report.tables.escape import plain

_POLICY: Final = (
    "default-src 'none'; script-src 'sha256-{script}'; style-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'"
)
"""Nothing may be loaded or sent, and no script runs but the page's own.

Styles within the file are let through one and all, since pictures have them on every element;
without a source of images or fonts they cannot reach a network.
"""


def render(report: Report) -> str:
    """Write a report as HTML.

    Every text of the record is escaped; only pictures, which the record says are markup, are not.
    """
    here = files(__package__)
    script, style, page = (
        here.joinpath(name).read_text(encoding="utf-8")
        for name in ("page.js", "style.css", "page.html.j2")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.from_string(page).render(
        report=report,
        policy=_POLICY.format(script=digest),
        script=Markup(script),
        style=Markup(style),
        svg=Markup,
    )


def _harmless(value: Any) -> Any:
    """Take out of a text what people cannot see: control and direction characters."""
    return value if isinstance(value, Markup) else plain(str(value))
