"""Tables for a terminal whose cells are plain text: what files say is not markup."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text


def plain_table(title: str, words: Sequence[str], numbers: Sequence[str]) -> Table:
    """An empty table under a title.

    Args:
        title: The title.
        words: Headings of columns of text, which is folded where it is too long.
        numbers: Headings of the columns after them, which hold numbers.
    """
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for heading in words:
        table.add_column(heading, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


def add_row(table: Table, *values: object) -> None:
    """Add a row; whole numbers get separators of thousands."""
    table.add_row(*(Text(f"{value:,}" if isinstance(value, int) else str(value)) for value in values))
