"""The oracle's answers as they are kept: numbers, ids and codes, never any text of a prompt or a response. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from promedical.errors import ErrorCode
from promedical.messages import ModelInfo, ResponseOutcome, RubricPin
from promedical_bench.answers import Answer, Answers, Verdict, verdict_of
from promedical_data.variants import Variant


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Which oracle answered what.

    Attributes:
        promedical_bench: The version of the format.
        task: The name of the task.
        path: The file of data, as it was named.
        responses_path: The file of answers to judge, if there is one.
        data: The hash of the bytes of both files.
        rubric: The named rubric for cases without criteria, as `id@version`.
        model: What the oracle said about itself.
        rubric_sha256: The hash of the named rubric; None without one, and in files that are older than this field.
    """

    promedical_bench: int
    task: str
    path: str
    responses_path: str | None
    data: str
    rubric: str | None
    model: ModelInfo
    rubric_sha256: str | None = None

    @property
    def pins(self) -> tuple[RubricPin, ...]:
        """The named rubric that every call expects; none of a service that is older than pins."""
        if self.rubric is None or self.rubric_sha256 is None or not self.model.rubrics:
            return ()
        return (RubricPin(name=self.rubric, sha256=self.rubric_sha256),)

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the oracle."""
        return self.model.model.fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseRecord:
    """One response: scores, or the code of an error. Files that are older than `vetoed` do not say it."""

    error: ErrorCode | None = None
    retryable: bool = False
    reward: float | None = None
    rank: int | None = None
    vetoed: bool | None = None
    criteria: tuple[Verdict, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line: the answer to one case, asked in one way."""

    case: str
    variant: Variant
    fingerprint: str
    responses: tuple[ResponseRecord, ...]

    @property
    def final(self) -> bool:
        """Whether asking again would change nothing."""
        return not any(each.retryable for each in self.responses)


@dataclass(slots=True, kw_only=True)
class Results:
    """A results file in memory. `records` by variant and case; a later line of a case replaces an earlier one."""

    header: Header
    records: dict[tuple[Variant, str], Record] = field(default_factory=dict)

    def answers(self, variant: Variant) -> Answers:
        """The oracle's answers, without the cases that it was not asked about yet."""
        return {
            case: tuple(answer_of(each) for each in record.responses)
            for (asked, case), record in self.records.items()
            if asked == variant
        }

    def asked(self, variant: Variant, cases: Collection[str]) -> set[str]:
        """The cases among these that have an answer, even if it is an error."""
        return {case for asked, case in self.records if asked == variant and case in cases}

    def unscored(self, variant: Variant, silent: Mapping[str, Sequence[bool]]) -> dict[str, int]:
        """How many responses to these cases have no scores, by error code; those that are empty do not count."""
        records = [record for key, record in self.records.items() if key[0] == variant and key[1] in silent]
        told = [pair for record in records for pair in zip(record.responses, silent[record.case], strict=True)]
        return dict(Counter(str(each.error) for each, empty in told if each.error and not empty))


def record_of(outcomes: tuple[ResponseOutcome, ...], *, case: str, variant: Variant, fingerprint: str) -> Record:
    """What to keep of an answer."""
    return Record(case=case, variant=variant, fingerprint=fingerprint, responses=tuple(map(_response, outcomes)))


def failed(count: int, error: ErrorCode, *, retryable: bool, case: str, variant: Variant, fingerprint: str) -> Record:
    """What to keep if a case as a whole got an error."""
    responses = (ResponseRecord(error=error, retryable=retryable),) * count
    return Record(case=case, variant=variant, fingerprint=fingerprint, responses=responses)


def answer_of(record: ResponseRecord) -> Answer | None:
    """The scores of a response; None if it has none."""
    if record.reward is None or record.rank is None:
        return None
    return Answer(
        reward=record.reward,
        rank=record.rank,
        verdicts={each.id: each for each in record.criteria},
        vetoed=record.vetoed,
    )


def _response(outcome: ResponseOutcome) -> ResponseRecord:
    if outcome.scores is None:
        assert outcome.error is not None
        return ResponseRecord(error=outcome.error.code, retryable=outcome.error.retryable)
    scores = outcome.scores
    return ResponseRecord(
        reward=scores.reward,
        rank=scores.rank,
        vetoed=scores.vetoed,
        criteria=tuple(verdict_of(each, each) for each in scores.criteria),
    )


def count_unscored(codes: Mapping[str, int]) -> str:
    """Codes with their counts, for a message."""
    return ", ".join(f"{code} {count:,}" for code, count in sorted(codes.items())) or "none"
