"""How a large job becomes several calls, and their answers become one answer. Pure."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from promedical import messages as m
from promedical.errors import ErrorCode
from promedical_client.errors import MixedFingerprintsError, MixedRubricsError, TooLargeError

MAX_ITEMS: Final = 64
MAX_TOKENS: Final = 128 * 1024
"""The most tokens of a call, by estimate. At four bytes per token this is half a MiB. So only an item that is too
large on its own comes near a server's limit in bytes (32 MiB by default)."""

_GROWTH: Final = 4
_SHORTEST_S: Final = 0.001
_BYTES_PER_TOKEN: Final = 4
_NAMED_RUBRIC_BYTES: Final = 15 * 140
"""The estimate for the criteria of a rubric that only the service can see: fifteen criteria of 35 tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverLimit(m.ErrorInfo):
    """The error of an item that the service refused because of its size; with fewer responses it may be scored."""


class Cutter:
    """Cuts a job into calls, in order: none is empty, and none is larger than `MAX_ITEMS` and about `MAX_TOKENS`.

    How large they are depends on what items cost and on how fast the service has been so far, so that a call takes
    about `call_s` seconds, which is well before its deadline. Nothing is known about the service at the start.

    Args:
        items: The job.
        call_s: How many seconds a call should take.
        first_tokens: How large the first calls are, by estimate.
    """

    def __init__(self, items: Iterable[m.ScoreItem], *, call_s: float, first_tokens: int = MAX_TOKENS) -> None:
        self._left = deque(items)
        self._call_s = call_s
        self._tokens = first_tokens

    def next(self) -> tuple[m.ScoreItem, ...]:
        """The next call; empty if nothing is left."""
        chunk: list[m.ScoreItem] = []
        tokens = 0
        while self._left and len(chunk) < MAX_ITEMS:
            tokens += estimated_tokens(self._left[0])
            if chunk and tokens > self._tokens:
                break
            chunk.append(self._left.popleft())
        return tuple(chunk)

    def learn(self, tokens: int, seconds: float) -> None:
        """Say how long a call took. Calls grow step by step, since one of them may have been lucky."""
        wanted = tokens / max(seconds, _SHORTEST_S) * self._call_s
        grown = max(self._tokens, tokens) * _GROWTH
        self._tokens = max(int(min(wanted, grown, MAX_TOKENS)), 1)


def estimated_tokens(item: m.ScoreItem) -> int:
    """An estimate of what the engine computes: the prompt once, each response once, the criteria once per response."""
    turns = [item.prompt] if isinstance(item.prompt, str) else [turn.content for turn in item.prompt]
    criteria = _bytes(criterion.text for criterion in item.rubric.criteria) if item.rubric else _NAMED_RUBRIC_BYTES
    total = _bytes(turns) + _bytes(item.responses) + len(item.responses) * criteria
    return total // _BYTES_PER_TOKEN


def merged(answers: Sequence[m.ScoreResponse]) -> m.ScoreResponse:
    """One answer made from the chunks' answers: their items, the sum of their usage, the longest of each timing.

    Raises:
        MixedFingerprintsError: The answers come from different oracles.
        MixedRubricsError: The answers come from different rubrics of one name.
    """
    _check_same_oracle(answers)
    return m.ScoreResponse(
        model=answers[0].model,
        items=tuple(item for answer in answers for item in answer.items),
        usage=m.Usage(
            tokens_flat=sum(answer.usage.tokens_flat for answer in answers),
            tokens_computed=sum(answer.usage.tokens_computed for answer in answers),
            responses_scored=sum(answer.usage.responses_scored for answer in answers),
            criteria_scored=sum(answer.usage.criteria_scored for answer in answers),
        ),
        timings_ms=m.Timings(
            queue=max(answer.timings_ms.queue for answer in answers),
            tokenize=max(answer.timings_ms.tokenize for answer in answers),
            engine=max(answer.timings_ms.engine for answer in answers),
        ),
        rubrics=tuple(dict.fromkeys(used for answer in answers for used in answer.rubrics)),
    )


def _check_same_oracle(answers: Sequence[m.ScoreResponse]) -> None:
    fingerprints = sorted({answer.model.fingerprint for answer in answers})
    if len(fingerprints) > 1:
        raise MixedFingerprintsError(mixed_oracles(f"oracles {', '.join(fingerprints)}"))
    mixed = _mixed_rubric(answers)
    if mixed is not None:
        raise MixedRubricsError(
            f"one call was answered by different rubrics of the name {mixed}; their scores cannot be compared: wait "
            "until every replica has the same rubrics, and pin them with expected_rubrics"
        )


def mixed_oracles(who: str) -> str:
    """What to tell a caller whose call found more than one oracle."""
    return (
        f"one call was answered by {who}; their scores cannot be compared: wait until every replica runs the same "
        "model, and pin it with expected_fingerprint"
    )


def _mixed_rubric(answers: Sequence[m.ScoreResponse]) -> str | None:
    """A name, as it was asked for or with its version, that had two meanings; None if there is none."""
    meaning: dict[str, str] = {}
    for used in (used for answer in answers for used in answer.rubrics):
        for name in (used.name, f"{used.id}@{used.version}"):
            if meaning.setdefault(name, used.sha256) != used.sha256:
                return name
    return None


def answered(
    items: Iterable[m.ScoreItem], answers: Sequence[m.ScoreResponse], too_large: Mapping[str, TooLargeError]
) -> tuple[m.ItemOutcome, ...]:
    """The outcomes of the items that have one, in order; empty if they come from different oracles or rubrics."""
    if len({answer.model.fingerprint for answer in answers}) > 1 or _mixed_rubric(answers):
        return ()
    outcome_of = {outcome.id: outcome for answer in answers for outcome in answer.items}
    outcome_of |= {name: m.ItemOutcome(id=name, error=refused(error)) for name, error in too_large.items()}
    return tuple(outcome_of[item.id] for item in items if item.id in outcome_of)


def refused(error: TooLargeError) -> OverLimit:
    """The outcome of an item that is over a limit of the service: an error of the item, not of its call."""
    return OverLimit(code=ErrorCode.INVALID_ITEM, message=error.message)


def _bytes(texts: Iterable[str]) -> int:
    return sum(len(text.encode(errors="replace")) for text in texts)
