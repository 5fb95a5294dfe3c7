"""Verdicts of ProMedical's own service on every criterion of every candidate, pinned to its fingerprint.

The service answers many rows in one call and needs no prompt, so this stage sees the rows as a table. It has no store:
a run that is killed here judges the stage's rows again, and gets the same verdicts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from promedical.messages import CriterionSpec, ItemOutcome, ModelInfo, RubricSpec, ScoreItem
from promedical_client.address import Address
from promedical_client.errors import PromedicalError
from promedical_client.sync import Client
from promedical_curation.errors import CurationError, StoppedError
from promedical_curation.pipeline.engines import batches
from promedical_curation.pipeline.stages import Rows, TableStage
from promedical_curation.rows import Failed, Outcome, Row
from promedical_curation.stages import candidates, rubric_notes
from promedical_curation.stages.judging import Earlier

_ROWS: Final = 64
"""Rows in a call."""
_TIMEOUT_S: Final = 3600.0


def model_at(address: Address) -> ModelInfo:
    """What the service at an address is.

    Raises:
        CurationError: It cannot be reached.
    """
    try:
        with Client(address, timeout_s=30, max_attempts=3) as client:
            return client.model()
    except (PromedicalError, OSError) as error:
        raise CurationError(
            f"service {address.url}: {error}; is it running, and is PROMEDICAL_URL its address?"
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceJudging:
    """Asks the service.

    Attributes:
        address: Where it is.
        fingerprint: The fingerprint that it must have.
        rubric: The stage whose notes hold the criteria.
        name: The name of this stage.
        earlier: What was judged before; None if nothing was.
    """

    address: Address
    fingerprint: str
    rubric: str
    name: str
    earlier: Earlier | None = None

    @property
    def stage(self) -> TableStage:
        """As a stage of a run."""
        config = {"rubric": self.rubric, "fingerprint": self.fingerprint}
        return TableStage(name=self.name, config=config, decide=self.decide)

    def decide(self, rows: Rows) -> Iterable[Outcome]:
        """Note every verdict; a row that the service cannot judge as a whole fails.

        Raises:
            StoppedError: The service cannot be reached, or is another one by now.
        """
        try:
            with Client(self.address, timeout_s=_TIMEOUT_S) as client:
                for some in batches(rows, _ROWS):
                    yield from self._judged(client, some)
        except (PromedicalError, OSError) as error:
            raise StoppedError(f"stage {self.name}: service {self.address.url}: {error}") from None

    def _judged(self, client: Client, rows: Sequence[Row]) -> Iterable[Outcome]:
        new = [row for row in rows if self._reused(row) is None]
        items = [self._item(row) for row in new]
        answer = client.score(items, expected_fingerprint=self.fingerprint) if items else None
        found = {} if answer is None else {each.id: each for each in answer.items}
        for row in rows:
            reused = self._reused(row)
            yield self._outcome(row, found[row.id]) if reused is None else self._noted(row, reused)

    def _reused(self, row: Row) -> list[dict[str, Any]] | None:
        """The earlier votes, if no criterion has other words now."""
        if self.earlier is None:
            return None
        known, criteria = self.earlier.known(row), row.notes[self.rubric]["criteria"]
        return self.earlier.votes(row, criteria) if all(each["text"] in known for each in criteria) else None

    def _item(self, row: Row) -> ScoreItem:
        criteria = [draft.criterion for draft in rubric_notes.from_note(row.notes[self.rubric]["criteria"])]
        return ScoreItem(
            id=row.id,
            prompt=row.instruction,
            responses=tuple(each["text"] for each in row.notes[candidates.NAME]["responses"]),
            rubric=RubricSpec(criteria=tuple(map(CriterionSpec.of, criteria))),
        )

    def _outcome(self, row: Row, found: ItemOutcome) -> Outcome:
        if found.result is None:
            assert found.error is not None
            return Failed(row=row, error=f"service_{found.error.code.value}", message=found.error.message)
        scored = zip(row.notes[candidates.NAME]["responses"], found.result.responses, strict=True)
        votes = [
            self._vote(response["id"], each.id, each.probability)
            for response, outcome in scored
            if outcome.scores is not None
            for each in outcome.scores.criteria
        ]
        if not votes:
            errors = {each.error.code.value for each in found.result.responses if each.error is not None}
            message = f"the service judged no response: {', '.join(sorted(errors))}"
            return Failed(row=row, error="service_no_verdict", message=message)
        return self._noted(row, votes)

    def _vote(self, response: str, criterion: str, probability: float) -> dict[str, Any]:
        """As judges' votes are noted, with the calibrated probability beside."""
        met = probability >= 0.5  # noqa: PLR2004 - even odds
        vote = {"judge": self.fingerprint, "response": response, "criterion": criterion, "met": met}
        return {**vote, "probability": probability, "evidence": "", "quoted": False}

    def _noted(self, row: Row, votes: Sequence[dict[str, Any]]) -> Row:
        asked = len(row.notes[self.rubric]["criteria"]) * len(row.notes[candidates.NAME]["responses"])
        note = {"votes": list(votes), "unanswered": asked - len(votes), "fingerprint": self.fingerprint}
        return row.noted(self.name, note)
