"""Codec for what callers send: the service decodes, the SDK encodes.

Decoding raises `InvalidField`, with its path, for what the wire's types cannot rule out.
"""

from collections.abc import Iterable

from promedical import messages as m
from promedical.rubric import InvalidField
from promedical.v1 import reward_pb2 as pb
from promedical.v1.enums import DIMENSION, POLARITY, PRIORITY, PROFICIENCY_MODE, ROLE, TRUNCATION

_Asked = pb.ScoreItem | pb.RankResponsesRequest


def encode_score_request(request: m.ScoreRequest) -> pb.ScoreBatchRequest:
    """To the wire."""
    return pb.ScoreBatchRequest(
        items=[_encode_item(item) for item in request.items],
        reward_weights=_encode_weights(request.reward_weights),
        expected_fingerprint=request.expected_fingerprint,
        priority=PRIORITY.number(request.priority),
        truncation=TRUNCATION.number(request.truncation),
        expected_rubrics=encode_pins(request.expected_rubrics),
        unscored_reward=request.unscored_reward,
    )


def decode_score_request(wire: pb.ScoreBatchRequest) -> m.ScoreRequest:
    """From the wire.

    Raises:
        InvalidField: An enumeration number is unknown or a field is missing; the error names its path.
    """
    return m.ScoreRequest(
        items=tuple(_decode_item(item, f"items[{index}]") for index, item in enumerate(wire.items)),
        reward_weights=_decode_weights(wire.reward_weights),
        expected_fingerprint=wire.expected_fingerprint if wire.HasField("expected_fingerprint") else None,
        priority=PRIORITY.optional(wire.priority, "priority"),
        truncation=TRUNCATION.optional(wire.truncation, "truncation") or "none",
        expected_rubrics=decode_pins(wire.expected_rubrics),
        unscored_reward=wire.unscored_reward if wire.HasField("unscored_reward") else None,
    )


def encode_rank_request(request: m.RankRequest) -> pb.RankResponsesRequest:
    """To the wire."""
    wire = pb.RankResponsesRequest(
        responses=request.responses,
        base_rubric_id=request.base_rubric_id,
        reward_weights=_encode_weights(request.reward_weights),
        expected_fingerprint=request.expected_fingerprint,
        priority=PRIORITY.number(request.priority),
        truncation=TRUNCATION.number(request.truncation),
        expected_rubrics=encode_pins(request.expected_rubrics),
    )
    _set_prompt_and_rubric(wire, request)
    return wire


def decode_rank_request(wire: pb.RankResponsesRequest) -> m.RankRequest:
    """From the wire.

    Raises:
        InvalidField: An enumeration number is unknown or a field is missing; the error names its path.
    """
    return m.RankRequest(
        prompt=_decode_prompt(wire, ""),
        responses=tuple(wire.responses),
        rubric=_decode_rubric(wire, ""),
        rubric_id=wire.rubric_id if wire.HasField("rubric_id") else None,
        base_rubric_id=wire.base_rubric_id if wire.HasField("base_rubric_id") else None,
        reward_weights=_decode_weights(wire.reward_weights),
        expected_fingerprint=wire.expected_fingerprint if wire.HasField("expected_fingerprint") else None,
        priority=PRIORITY.optional(wire.priority, "priority"),
        truncation=TRUNCATION.optional(wire.truncation, "truncation") or "none",
        expected_rubrics=decode_pins(wire.expected_rubrics),
    )


def encode_criterion(criterion: m.CriterionSpec) -> pb.Criterion:
    """To the wire."""
    return pb.Criterion(
        id=criterion.id,
        text=criterion.text,
        dimension=DIMENSION.number(criterion.dimension),
        weight=criterion.weight,
        polarity=POLARITY.number(criterion.polarity),
    )


def decode_criterion(wire: pb.Criterion, path: str) -> m.CriterionSpec:
    """From the wire.

    Raises:
        InvalidField: An enumeration number is unknown; the error names its path.
    """
    return m.CriterionSpec(
        id=wire.id,
        text=wire.text,
        dimension=DIMENSION.word(wire.dimension, f"{path}.dimension"),
        weight=wire.weight if wire.HasField("weight") else None,
        polarity=POLARITY.optional(wire.polarity, f"{path}.polarity"),
    )


def encode_pins(pins: Iterable[m.RubricPin]) -> list[pb.RubricPin]:
    """To the wire."""
    return [pb.RubricPin(name=pin.name, sha256=pin.sha256) for pin in pins]


def decode_pins(wire: Iterable[pb.RubricPin]) -> tuple[m.RubricPin, ...]:
    """From the wire."""
    return tuple(m.RubricPin(name=pin.name, sha256=pin.sha256) for pin in wire)


def _encode_item(item: m.ScoreItem) -> pb.ScoreItem:
    wire = pb.ScoreItem(id=item.id, responses=item.responses, base_rubric_id=item.base_rubric_id)
    _set_prompt_and_rubric(wire, item)
    return wire


def _set_prompt_and_rubric(wire: _Asked, asked: m.ScoreItem | m.RankRequest) -> None:
    if isinstance(asked.prompt, str):
        wire.prompt_text = asked.prompt
    else:
        turns = [pb.Message(role=ROLE.number(turn.role), content=turn.content) for turn in asked.prompt]
        wire.messages.CopyFrom(pb.Messages(messages=turns))
    if asked.rubric is not None and asked.rubric_id is not None:
        raise InvalidField("rubric_id", "is given together with rubric; give one of the two")
    if asked.rubric is not None:
        wire.rubric.CopyFrom(pb.Rubric(criteria=[encode_criterion(c) for c in asked.rubric.criteria]))
    if asked.rubric_id is not None:
        wire.rubric_id = asked.rubric_id


def _decode_item(wire: pb.ScoreItem, path: str) -> m.ScoreItem:
    return m.ScoreItem(
        id=wire.id,
        prompt=_decode_prompt(wire, f"{path}."),
        responses=tuple(wire.responses),
        rubric=_decode_rubric(wire, f"{path}."),
        rubric_id=wire.rubric_id if wire.HasField("rubric_id") else None,
        base_rubric_id=wire.base_rubric_id if wire.HasField("base_rubric_id") else None,
    )


def _decode_prompt(wire: _Asked, prefix: str) -> str | tuple[m.Message, ...]:
    match wire.WhichOneof("prompt"):
        case "prompt_text":
            return wire.prompt_text
        case "messages":
            return tuple(
                m.Message(role=ROLE.word(turn.role, f"{prefix}messages[{index}].role"), content=turn.content)
                for index, turn in enumerate(wire.messages.messages)
            )
        case _:
            raise InvalidField(f"{prefix}prompt", "is missing; give prompt_text or messages")


def _decode_rubric(wire: _Asked, prefix: str) -> m.RubricSpec | None:
    if not wire.HasField("rubric"):
        return None
    return m.RubricSpec(
        criteria=tuple(
            decode_criterion(criterion, f"{prefix}rubric.criteria[{index}]")
            for index, criterion in enumerate(wire.rubric.criteria)
        )
    )


def _encode_weights(weights: m.WeightsSpec) -> pb.RewardWeights:
    return pb.RewardWeights(
        excellence_weight=weights.excellence_weight,
        excellence_cap=weights.excellence_cap,
        violation_penalty=weights.violation_penalty,
        proficiency_mode=PROFICIENCY_MODE.number(weights.proficiency_mode),
    )


def _decode_weights(wire: pb.RewardWeights) -> m.WeightsSpec:
    default = m.WeightsSpec()
    mode = PROFICIENCY_MODE.optional(wire.proficiency_mode, "reward_weights.proficiency_mode")
    return m.WeightsSpec(
        excellence_weight=(wire.excellence_weight if wire.HasField("excellence_weight") else default.excellence_weight),
        excellence_cap=wire.excellence_cap if wire.HasField("excellence_cap") else default.excellence_cap,
        violation_penalty=(wire.violation_penalty if wire.HasField("violation_penalty") else default.violation_penalty),
        proficiency_mode=mode or default.proficiency_mode,
    )
