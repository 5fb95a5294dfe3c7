"""A report as Markdown, and as one HTML file: styles and plots inside, no script, nothing fetched."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from promedical_bench.reports.content import Content
from promedical_data.measures.figures import data_url
from promedical_data.pages import page


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A figure with what it shows."""

    title: str
    caption: str
    figure: Figure

    @property
    def source(self) -> str:
        """The figure as a data URL."""
        return data_url(self.figure)


def as_markdown(content: Content) -> str:
    """The whole report but its plots."""
    return page("promedical_bench.reports", "report.md.j2", content=content)


def as_html(content: Content, plots: Sequence[Plot]) -> str:
    """The whole report."""
    return page("promedical_bench.reports", "report.html.j2", content=content, plots=plots)
