"""A report as Markdown."""

from promedical_bench.reports.content import Content, Table


def as_markdown(content: Content) -> str:
    """The whole report; plots are in the HTML."""
    top = ", ".join(f"{each.label} {each.value} {each.interval}".rstrip() for each in content.headlines)
    sections = [
        f"# {content.title}",
        f"{content.subtitle}. **{top or 'nothing to show'}**",
        *(f"> {warning}" for warning in content.warnings),
        *map(_table, content.main),
        "## What was measured",
        _facts(content),
        *(["## Every metric"] if content.details else []),
        *map(_table, content.details),
        "## Notes",
        "\n".join(f"- {note}" for note in content.notes),
    ]
    return "\n\n".join(sections) + "\n"


def _facts(content: Content) -> str:
    return _lines(("", ""), content.facts, align="---")


def _table(table: Table) -> str:
    note = f"\n\n{table.note}" if table.note else ""
    return f"**{table.title}**{note}\n\n{_lines(table.columns, table.rows, align='---:')}"


def _lines(header: tuple[str, ...], rows: tuple[tuple[str, ...], ...], *, align: str) -> str:
    lines = [header, ("---", *[align] * (len(header) - 1)), *rows]
    return "\n".join(f"| {' | '.join(text.replace('|', '/') for text in line)} |" for line in lines)
