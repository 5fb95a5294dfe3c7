"""Tables in Markdown."""

from collections.abc import Sequence


def table(head: str, rows: Sequence[str]) -> str:
    """Head, rule, rows."""
    rule = "|" + "---|" * (head.count("|") - 1)
    return "\n".join([head, rule, *rows]) + "\n"
