"""A report as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
from functools import partial
from importlib.resources import files
from typing import Any, Final

from pflbench.extras import needed
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

    Raises
    ------
    InputError
        Jinja is not installed.
    """
    jinja2, markup = template_packages()
    here = files(__package__)
    script, style, page = (
        here.joinpath(name).read_text(encoding="utf-8")
        for name in ("page.js", "style.css", "page.html.j2")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=partial(_harmless, markup),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    rendered: str = environment.from_string(page).render(
        report=report,
        policy=_POLICY.format(script=digest),
        script=markup(script),
        style=markup(style),
        svg=markup,
    )
    return rendered


def template_packages() -> tuple[Any, type[str]]:
    """Return Jinja, and the type of text that is markup already.

    Raises
    ------
    InputError
        Jinja is not installed.
    """
    jinja2 = needed("jinja2", "The HTML report", "report")
    markup: type[str] = needed("markupsafe", "The HTML report", "report").Markup
    return jinja2, markup


def _harmless(markup: type[str], value: Any) -> Any:
    """Remove invisible characters from a text: control and direction characters."""
    return value if isinstance(value, markup) else plain(str(value))
