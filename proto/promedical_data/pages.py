"""Pages from templates: each template lies beside the code that fills it, and what all reports share lies here."""

from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, FunctionLoader, StrictUndefined, select_autoescape

_SHARED: Final = ("report_page.html.j2",)


def page(package: str, template: str, **values: Any) -> str:
    """Fill a template of a package. A name without a value is an error; in HTML, text from outside is escaped."""
    return _environment(package).get_template(template).render(values)


@cache
def _environment(package: str) -> Environment:
    return Environment(
        loader=FunctionLoader(lambda name: _source("promedical_data" if name in _SHARED else package, name)),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _source(package: str, name: str) -> str:
    return (files(package) / name).read_text(encoding="utf-8")
