"""Screens as a stage: what is empty, corrupted, personal, foreign or no question is dropped. Asks no model."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from promedical_curation.pipeline.stages import Rows, TableStage
from promedical_curation.rows import Outcome
from promedical_curation.screening import language, personal_data, questions, screens
from promedical_curation.screening.language import Languages

NAME: Final = screens.STAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Screens:
    """Screens rows.

    Attributes:
        languages: The languages that pass, by their codes.
    """

    languages: tuple[str, ...] = ("en",)

    @property
    def stage(self) -> TableStage:
        """As a stage of a run."""
        return TableStage(
            name=NAME,
            config={"languages": sorted(self.languages)},
            code=(language, personal_data, questions, screens),
            decide=self.decide,
        )

    def decide(self, rows: Rows) -> Iterable[Outcome]:
        """Every row, or its drop.

        Raises:
            CurationError: A language is unknown.
        """
        return screens.screen(rows, Languages(self.languages))
