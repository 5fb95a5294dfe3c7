"""A report as one HTML file: styles and plots inside, no script, nothing fetched."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import matplotlib as mpl
from jinja2 import Environment, StrictUndefined
from matplotlib.figure import Figure

from promedical_bench.reports.content import Content


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A figure with what it shows."""

    title: str
    caption: str
    figure: Figure


def as_html(content: Content, plots: Sequence[Plot]) -> str:
    """The whole report."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((files("promedical_bench.reports") / "report.html.j2").read_text("utf-8"))
    drawn = [{"title": plot.title, "caption": plot.caption, "source": _inline(plot.figure)} for plot in plots]
    return template.render(content=content, plots=drawn)


def _inline(figure: Figure) -> str:
    """As a data URL; an image of its own, so that ids inside it meet no others."""
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "promedical"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"
