"""Our own formats, so that files of them change between JSON lines and Parquet; see `formats` for what they hold."""

from typing import Final

from promedical_data.publishers.publisher import Publisher, Row, Shaped, Surroundings
from promedical_data.skips import Place

_LICENCE: Final = "that of the row, if it names one"


def _criteria(raw: Row, _: Place, __: Surroundings) -> Shaped:
    return Shaped(file_format="criteria", row=raw)


def _pairs(raw: Row, _: Place, __: Surroundings) -> Shaped:
    return Shaped(file_format="pairs", row=raw)


CRITERIA: Final = Publisher(
    name="criteria",
    title="Our format of criteria",
    licence=_LICENCE,
    reads="everything that the format holds",
    drops="keys that the format does not have",
    needs=("id", "prompt", "criteria"),
    shape=_criteria,
    fits=lambda row: "chosen" not in row,
)

PAIRS: Final = Publisher(
    name="pairs",
    title="Our format of pairs",
    licence=_LICENCE,
    reads="everything that the format holds",
    drops="keys that the format does not have",
    needs=("id", "prompt", "criteria", "chosen", "rejected"),
    shape=_pairs,
)

OWN: Final = frozenset({CRITERIA.name, PAIRS.name})
"""Their names."""
