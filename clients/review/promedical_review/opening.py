"""How a command reaches the database, and how it ends where that fails."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from promedical_client.cli.session import fail

if TYPE_CHECKING:
    from promedical_review.store.database import Database

BAD_INPUT: Final = 2

DatabaseUrl = Annotated[
    str,
    typer.Option(
        "--database",
        envvar="PROMEDICAL_REVIEW_DATABASE",
        help="sqlite:///PATH, postgresql://USER:PASSWORD@HOST/NAME, or @FILE that holds one of them.",
    ),
]


@contextmanager
def expected_errors() -> Iterator[None]:
    """Turn an error that is not a bug into one line and an exit code."""
    from promedical_data.errors import DataError  # noqa: PLC0415
    from promedical_review.errors import ReviewError  # noqa: PLC0415

    try:
        yield
    except (DataError, ReviewError) as error:
        fail("promedical-review", error, BAD_INPUT)


def told(text: str, field: str) -> str:
    """A value that may be secret: what was given, or for @FILE what stands in that file.

    Raises:
        InvalidError: The file cannot be read.
    """
    from promedical_review.errors import InvalidError  # noqa: PLC0415

    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "no text in UTF-8"
        raise InvalidError(f"is in the file {text[1:]}, which cannot be read: {said}", field) from None


@contextmanager
def opened(url: str) -> Iterator["Database"]:
    """The database at an address, which must be of this version."""
    from promedical_review.store.database import Database  # noqa: PLC0415
    from promedical_review.store.migrating import check_schema  # noqa: PLC0415

    with closing(Database(told(url, "database"))) as database:
        check_schema(database)
        yield database
