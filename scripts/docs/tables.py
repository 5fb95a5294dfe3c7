"""Tables in Markdown."""

from collections.abc import Sequence


def table(head: str, rows: Sequence[str]) -> str:
    """A table: its head, a rule and its rows."""
    rule = "|" + "---|" * (head.count("|") - 1)
    return "\n".join([head, rule, *rows]) + "\n"


def cell(text: str | None) -> str:
    """Text that fits into a table's cell."""
    return (text or "").replace("\n", " ").replace("|", "\\|")
