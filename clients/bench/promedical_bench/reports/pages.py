"""A report as Markdown, and as one HTML file: styles and plots inside, no script, nothing fetched."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.figure import Figure

from promedical_bench.reports.content import Content
from promedical_data.pages import page


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A figure with what it shows."""

    title: str
    caption: str
    figure: Figure

    @property
    def source(self) -> str:
        """The figure as a data URL; an image of its own, so that ids inside it meet no others."""
        buffer = io.BytesIO()
        with mpl.rc_context({"svg.hashsalt": "promedical"}):
            self.figure.savefig(buffer, format="svg", metadata={"Date": None})
        return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def as_markdown(content: Content) -> str:
    """The whole report but its plots."""
    return page("promedical_bench.reports", "report.md.j2", content=content)


def as_html(content: Content, plots: Sequence[Plot]) -> str:
    """The whole report."""
    return page("promedical_bench.reports", "report.html.j2", content=content, plots=plots)
