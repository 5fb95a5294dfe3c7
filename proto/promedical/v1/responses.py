"""Codec for what the oracle answers: the service encodes, the SDK decodes."""

from collections.abc import Iterable

from promedical import messages as m
from promedical.errors import ErrorCode
from promedical.rubric import InvalidField
from promedical.v1 import reward_pb2 as pb
from promedical.v1.enums import DIMENSION
from promedical.v1.requests import decode_criterion, decode_pins, encode_criterion, encode_pins


def encode_score_response(response: m.ScoreResponse) -> pb.ScoreBatchResponse:
    """To the wire."""
    return pb.ScoreBatchResponse(
        model=_encode_model_ref(response.model),
        items=[_encode_item(item) for item in response.items],
        usage=_encode_usage(response.usage),
        timings_ms=_encode_timings(response.timings_ms),
        rubrics=_encode_used(response.rubrics),
    )


def decode_score_response(wire: pb.ScoreBatchResponse) -> m.ScoreResponse:
    """From the wire."""
    return m.ScoreResponse(
        model=_decode_model_ref(wire.model),
        items=tuple(_decode_item(item) for item in wire.items),
        usage=_decode_usage(wire.usage),
        timings_ms=_decode_timings(wire.timings_ms),
        rubrics=_decode_used(wire.rubrics),
    )


def encode_rank_response(response: m.RankResponse) -> pb.RankResponsesResponse:
    """To the wire."""
    return pb.RankResponsesResponse(
        model=_encode_model_ref(response.model),
        best=response.best,
        error=_encode_error(response.error) if response.error else None,
        result=_encode_result(response.result) if response.result else None,
        usage=_encode_usage(response.usage),
        timings_ms=_encode_timings(response.timings_ms),
        rubrics=_encode_used(response.rubrics),
    )


def decode_rank_response(wire: pb.RankResponsesResponse) -> m.RankResponse:
    """From the wire."""
    return m.RankResponse(
        model=_decode_model_ref(wire.model),
        best=tuple(wire.best),
        error=_decode_error(wire.error) if wire.HasField("error") else None,
        result=_decode_result(wire.result) if wire.HasField("result") else None,
        usage=_decode_usage(wire.usage),
        timings_ms=_decode_timings(wire.timings_ms),
        rubrics=_decode_used(wire.rubrics),
    )


def encode_rubric_info(info: m.RubricInfo) -> pb.RubricInfo:
    """To the wire."""
    return pb.RubricInfo(
        id=info.id,
        version=info.version,
        title=info.title,
        sha256=info.sha256,
        criteria=[encode_criterion(criterion) for criterion in info.criteria],
    )


def decode_rubric_info(wire: pb.RubricInfo) -> m.RubricInfo:
    """From the wire."""
    return m.RubricInfo(
        id=wire.id,
        version=wire.version,
        title=wire.title,
        sha256=wire.sha256,
        criteria=tuple(decode_criterion(c, f"criteria[{index}]") for index, c in enumerate(wire.criteria)),
    )


def encode_model_info(info: m.ModelInfo) -> pb.GetModelResponse:
    """To the wire."""
    return pb.GetModelResponse(
        model=_encode_model_ref(info.model),
        status=info.status,
        family=info.family,
        template=info.template,
        calibration=info.calibration,
        licence=info.licence,
        description=info.description,
        limits=pb.Limits(
            max_request_bytes=info.limits.max_request_bytes,
            max_items=info.limits.max_items,
            max_responses_per_item=info.limits.max_responses_per_item,
            max_criteria_per_item=info.limits.max_criteria_per_item,
            max_path_tokens=info.limits.max_path_tokens,
            max_request_tokens=info.limits.max_request_tokens,
        ),
        rubrics=encode_pins(info.rubrics),
    )


def decode_model_info(wire: pb.GetModelResponse) -> m.ModelInfo:
    """From the wire."""
    return m.ModelInfo(
        model=_decode_model_ref(wire.model),
        status=wire.status,
        family=wire.family,
        template=wire.template,
        calibration=wire.calibration,
        licence=wire.licence,
        description=wire.description,
        limits=m.Limits(
            max_request_bytes=wire.limits.max_request_bytes,
            max_items=wire.limits.max_items,
            max_responses_per_item=wire.limits.max_responses_per_item,
            max_criteria_per_item=wire.limits.max_criteria_per_item,
            max_path_tokens=wire.limits.max_path_tokens,
            max_request_tokens=wire.limits.max_request_tokens,
        ),
        rubrics=decode_pins(wire.rubrics),
    )


def _encode_used(used: Iterable[m.UsedRubric]) -> list[pb.UsedRubric]:
    return [pb.UsedRubric(name=each.name, id=each.id, version=each.version, sha256=each.sha256) for each in used]


def _decode_used(wire: Iterable[pb.UsedRubric]) -> tuple[m.UsedRubric, ...]:
    return tuple(m.UsedRubric(name=each.name, id=each.id, version=each.version, sha256=each.sha256) for each in wire)


def _encode_item(item: m.ItemOutcome) -> pb.ItemOutcome:
    return pb.ItemOutcome(
        id=item.id,
        error=_encode_error(item.error) if item.error else None,
        result=_encode_result(item.result) if item.result else None,
    )


def _decode_item(wire: pb.ItemOutcome) -> m.ItemOutcome:
    return m.ItemOutcome(
        id=wire.id,
        error=_decode_error(wire.error) if wire.HasField("error") else None,
        result=_decode_result(wire.result) if wire.HasField("result") else None,
    )


def _encode_result(result: m.ItemResult) -> pb.ItemResult:
    rubric = result.rubric
    return pb.ItemResult(
        rubric=pb.RubricRef(id=rubric.id, version=rubric.version, sha256=rubric.sha256),
        safety_checked=result.safety_checked,
        ranking=[pb.RankGroup(indices=group) for group in result.ranking],
        responses=[_encode_response(response) for response in result.responses],
    )


def _decode_result(wire: pb.ItemResult) -> m.ItemResult:
    return m.ItemResult(
        rubric=m.RubricRef(
            id=wire.rubric.id if wire.rubric.HasField("id") else None,
            version=wire.rubric.version if wire.rubric.HasField("version") else None,
            sha256=wire.rubric.sha256,
        ),
        safety_checked=wire.safety_checked,
        ranking=tuple(tuple(group.indices) for group in wire.ranking),
        responses=tuple(_decode_response(response) for response in wire.responses),
    )


def _encode_response(response: m.ResponseOutcome) -> pb.ResponseOutcome:
    return pb.ResponseOutcome(
        error=_encode_error(response.error) if response.error else None,
        scores=_encode_scores(response.scores) if response.scores else None,
        truncated=response.truncated,
    )


def _decode_response(wire: pb.ResponseOutcome) -> m.ResponseOutcome:
    return m.ResponseOutcome(
        error=_decode_error(wire.error) if wire.HasField("error") else None,
        truncated=wire.truncated,
        scores=_decode_scores(wire.scores) if wire.HasField("scores") else None,
    )


def _encode_scores(scores: m.ResponseScores) -> pb.ResponseScores:
    return pb.ResponseScores(
        reward=scores.reward,
        rank=scores.rank,
        vetoed=scores.vetoed,
        proficiency=scores.proficiency,
        excellence=scores.excellence,
        violations=scores.violations,
        criteria=[
            pb.CriterionScore(
                id=score.id,
                dimension=DIMENSION.number(score.dimension),
                logit=score.logit,
                probability=score.probability,
                threshold=score.threshold,
                met=score.met,
                satisfied=score.satisfied,
            )
            for score in scores.criteria
        ],
        expected_reward=scores.expected_reward,
    )


def _decode_scores(wire: pb.ResponseScores) -> m.ResponseScores:
    return m.ResponseScores(
        reward=wire.reward,
        rank=wire.rank,
        vetoed=wire.vetoed,
        proficiency=wire.proficiency if wire.HasField("proficiency") else None,
        excellence=wire.excellence,
        violations=wire.violations,
        criteria=tuple(
            m.CriterionScore(
                id=score.id,
                dimension=DIMENSION.word(score.dimension, f"criteria[{index}].dimension"),
                logit=score.logit,
                probability=score.probability,
                threshold=score.threshold,
                met=score.met,
                satisfied=score.satisfied,
            )
            for index, score in enumerate(wire.criteria)
        ),
        expected_reward=wire.expected_reward if wire.HasField("expected_reward") else None,
    )


def _encode_error(error: m.ErrorInfo) -> pb.ErrorInfo:
    return pb.ErrorInfo(
        code=str(error.code),
        message=error.message,
        retryable=error.retryable,
        unscored_reward=error.unscored_reward,
    )


def _decode_error(wire: pb.ErrorInfo) -> m.ErrorInfo:
    try:
        code = ErrorCode(wire.code)
    except ValueError as error:
        raise InvalidField("error.code", "is unknown to this version of the SDK; update it") from error
    return m.ErrorInfo(
        code=code,
        message=wire.message,
        retryable=wire.retryable,
        unscored_reward=wire.unscored_reward if wire.HasField("unscored_reward") else None,
    )


def _encode_model_ref(ref: m.ModelRef) -> pb.ModelRef:
    return pb.ModelRef(
        name=ref.name, revision=ref.revision, fingerprint=ref.fingerprint, engine=ref.engine, dtype=ref.dtype
    )


def _decode_model_ref(wire: pb.ModelRef) -> m.ModelRef:
    return m.ModelRef(
        name=wire.name, revision=wire.revision, fingerprint=wire.fingerprint, engine=wire.engine, dtype=wire.dtype
    )


def _encode_usage(usage: m.Usage) -> pb.Usage:
    return pb.Usage(
        tokens_flat=usage.tokens_flat,
        tokens_computed=usage.tokens_computed,
        responses_scored=usage.responses_scored,
        criteria_scored=usage.criteria_scored,
    )


def _decode_usage(wire: pb.Usage) -> m.Usage:
    return m.Usage(
        tokens_flat=wire.tokens_flat,
        tokens_computed=wire.tokens_computed,
        responses_scored=wire.responses_scored,
        criteria_scored=wire.criteria_scored,
    )


def _encode_timings(timings: m.Timings) -> pb.Timings:
    return pb.Timings(queue=timings.queue, tokenize=timings.tokenize, engine=timings.engine)


def _decode_timings(wire: pb.Timings) -> m.Timings:
    return m.Timings(queue=wire.queue, tokenize=wire.tokenize, engine=wire.engine)
