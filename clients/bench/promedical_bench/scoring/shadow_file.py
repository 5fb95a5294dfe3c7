"""Records of shadow scoring as the answers of two oracles to the same cases: one case per item of a request.

Records of several replicas and of rotated files are read together. They must be of one live oracle and one candidate.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from promedical.shadow import Outcome
from promedical.shadow_records import ShadowAnswer, ShadowRecord
from promedical_bench.answers import Answer, Answers, Verdict
from promedical_bench.scoring.record_file import ResultsError

_RECORD = TypeAdapter(ShadowRecord)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowResults:
    """What both oracles said.

    Attributes:
        live: Who callers hear: its name and fingerprint.
        candidate: Who may follow.
        old: The live answers, by case.
        new: The candidate's. What was judged by other criteria has no answers here.
        cluster: The hash of every case's prompt.
        outcomes: How many responses could be compared, or why not.
        errors: How many responses the candidate did not score though the live oracle did, by code.
        span: The times of the first record and the last.
    """

    live: tuple[str, str]
    candidate: tuple[str, str]
    old: Answers
    new: Answers
    cluster: Mapping[str, str]
    outcomes: Mapping[str, int]
    errors: Mapping[str, int]
    span: tuple[str, str]


def read_shadow(paths: Sequence[Path]) -> ShadowResults:
    """Read files of records; the same line in two of them counts once.

    Raises:
        ResultsError: One cannot be read or holds something else, there are no records, or they mix oracles.
    """
    cases: dict[str, dict[int, ShadowRecord]] = defaultdict(dict)
    first: ShadowRecord | None = None
    for where, record in (each for path in paths for each in _records(path)):
        first = first or record
        _check_same(record, first, where)
        cases[f"{record.comparison}/{record.item}"][record.response] = record
    if first is None:
        raise ResultsError(f"{', '.join(map(str, paths))}: holds no record; name a file that shadow_file wrote")
    records = [record for case in cases.values() for record in case.values()]
    lost = [record for record in records if record.outcome is Outcome.LIVE_ONLY]
    times = sorted(record.time for record in records)
    return ShadowResults(
        live=(first.live.model, first.live.fingerprint),
        candidate=(first.candidate.model, first.candidate.fingerprint),
        old={name: tuple(_answer(case[n], case[n].live) for n in sorted(case)) for name, case in cases.items()},
        new={name: tuple(_answer(case[n], case[n].candidate) for n in sorted(case)) for name, case in cases.items()},
        cluster={name: next(iter(case.values())).prompt_hash for name, case in cases.items()},
        outcomes=Counter(str(record.outcome) for record in records),
        errors=Counter(str(record.candidate.error) for record in lost),
        span=(times[0], times[-1]),
    )


def _records(path: Path) -> Iterator[tuple[str, ShadowRecord]]:
    """The records of a file with their places; a last line that is not whole is left out."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise ResultsError(f"{path}: cannot be read: {error.strerror}; expected records of shadow scoring") from None
    for number, line in enumerate(lines, start=1):
        where = f"{path}:{number}"
        try:
            yield where, _RECORD.validate_json(line)
        except ValidationError:
            raise ResultsError(
                f"{where}: is not a record of shadow scoring; remove that line, or name a file that shadow_file wrote"
            ) from None


def _check_same(record: ShadowRecord, first: ShadowRecord, where: str) -> None:
    for side in ("live", "candidate"):
        expected, found = getattr(first, side).fingerprint, getattr(record, side).fingerprint
        if expected != found:
            raise ResultsError(
                f"{where}: its {side} oracle is {found}, that of the first record {expected}; a report is about one "
                f"pair of oracles: choose it, as in jq -c 'select(.{side}.fingerprint == \"{found}\")'"
            )


def _answer(record: ShadowRecord, said: ShadowAnswer) -> Answer | None:
    if record.outcome is Outcome.OTHER_RUBRIC or said.reward is None or said.rank is None:
        return None
    verdicts = (
        Verdict(id=each.id, dimension=each.dimension, logit=each.logit, probability=each.probability, met=each.met)
        for each in said.verdicts
    )
    return Answer(reward=said.reward, rank=said.rank, verdicts={each.id: each for each in verdicts}, vetoed=said.vetoed)
