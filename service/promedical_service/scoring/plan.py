"""Before scoring: check the request and each item, and plan what is to be scored. Pure.

A fault of the request refuses all of it (`ServiceError`); a fault of one item is that item's error.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from promedical.conversation import count_turns, parse_prompt
from promedical.errors import ErrorCode
from promedical.messages import ErrorInfo, Limits, Message, RubricSpec, ScoreItem, ScoreRequest, UsedRubric
from promedical.pins import differing, named
from promedical.reward import RewardWeights
from promedical.rubric import MAX_ID_CHARACTERS, Criterion, InvalidField, Rubric, check_encodable
from promedical.rubric_files import NamedRubric, RubricCatalog
from promedical.visible import is_blank
from promedical_service.errors import ServiceError, invalid_field, service_error_of
from promedical_service.limits import MAX_MESSAGES_PER_ITEM, CountLimits

MAX_VERDICTS: Final = 2**18
"""In one answer, some 40 MB of JSON: every criterion for every response. Responses that differ fill the queue before
they come to so many; the same response again costs nothing but its place in the answer."""
MAX_ANSWER_BYTES: Final = 64 * 1024**2
"""The most bytes of one answer as JSON, in which every verdict repeats the id of its criterion."""
_BYTES_PER_VERDICT: Final = 176
"""Names and numbers of one verdict as JSON, without its id."""
_BYTES_PER_OUTCOME: Final = 512
"""Names and numbers of one response as JSON, or of an item with its error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemPlan:
    """One valid item.

    Attributes:
        id: The item's id.
        rubric: What to judge by, including standing criteria.
        turns: The conversation.
        texts: The distinct responses that are not empty; each is scored once.
        text_of: For each response of the item, its index in `texts`; None if it is empty.
    """

    id: str
    rubric: Rubric
    turns: tuple[Message, ...]
    texts: tuple[str, ...]
    text_of: tuple[int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedItem:
    """One item that cannot be scored, and why."""

    id: str
    error: ErrorInfo


def check_request(request: ScoreRequest, path: str, limits: Limits, fingerprint: str) -> RewardWeights:
    """Check what concerns all items, and return the weights to use. `path` names an item by its index.

    Raises:
        ServiceError: invalid_request, too_large or revision_mismatch.
    """
    if request.expected_fingerprint not in {None, fingerprint}:
        raise ServiceError(
            ErrorCode.REVISION_MISMATCH,
            f"expected_fingerprint is not {fingerprint}, that of this oracle; if the change is wanted, pin the new one",
        )
    _check_ids([item.id for item in request.items])
    _check_counts(request, path, limits)
    if not math.isfinite(request.unscored_reward or 0.0):
        raise invalid_field("unscored_reward", f"is {request.unscored_reward}; expected a finite number, or nothing")
    try:
        return request.reward_weights.validated()
    except InvalidField as error:
        raise service_error_of(error.under("reward_weights")) from error


def plan_item(item: ScoreItem, path: str, catalog: RubricCatalog) -> ItemPlan | RefusedItem:
    """Plan one item, or say why it cannot be scored.

    Raises:
        ServiceError: not_found, if it names a rubric that does not exist: the caller is misconfigured.
    """
    try:
        rubric = _rubric(item, path, catalog)
        turns = parse_prompt(item.prompt)
        _check_text(turns, item.responses)
    except InvalidField as error:
        message = f"{error}. Correct the item and send it again"
        return RefusedItem(id=item.id, error=ErrorInfo(code=ErrorCode.INVALID_ITEM, message=message))
    texts = tuple(dict.fromkeys(text for text in item.responses if not is_blank(text)))
    positions = {text: index for index, text in enumerate(texts)}
    text_of = tuple(positions.get(text) for text in item.responses)
    return ItemPlan(id=item.id, rubric=rubric, turns=turns, texts=texts, text_of=text_of)


def used_rubrics(request: ScoreRequest, catalog: RubricCatalog) -> tuple[UsedRubric, ...]:
    """The rubrics that a request names, each once; names that do not exist are left to `plan_item`.

    Raises:
        ServiceError: revision_mismatch, if one of them is not what the request expects.
    """
    found = [(name, known) for name in named(request.items) if (known := catalog.find(name)) is not None]
    used = tuple(
        UsedRubric(name=name, id=known.rubric.id or "", version=known.rubric.version or "", sha256=known.sha256)
        for name, known in found
    )
    why = differing(request.expected_rubrics, used)
    if why is not None:
        raise ServiceError(ErrorCode.REVISION_MISMATCH, f"expected_rubrics: {why}")
    return used


def check_answer(plans: Sequence[ItemPlan | RefusedItem]) -> None:
    """Check the size of the answer, which is known when the standing criteria are known.

    Raises:
        ServiceError: too_large.
    """
    sound = [plan for plan in plans if isinstance(plan, ItemPlan)]
    verdicts = sum(len(plan.text_of) * len(plan.rubric.criteria) for plan in sound)
    if verdicts > MAX_VERDICTS:
        raise ServiceError(
            ErrorCode.TOO_LARGE,
            f"the answer would hold {verdicts} verdicts, the responses of each item times its criteria; at most "
            f"{MAX_VERDICTS} are allowed. Send fewer items or responses at once",
        )
    size = len(plans) * _BYTES_PER_OUTCOME + sum(map(_answer_bytes, sound))
    if size > MAX_ANSWER_BYTES:
        raise ServiceError(
            ErrorCode.TOO_LARGE,
            f"the answer would have up to {size} bytes, since every response repeats the ids of its criteria; at most "
            f"{MAX_ANSWER_BYTES} are allowed. Send fewer items or responses at once, or use shorter ids",
        )


def _answer_bytes(plan: ItemPlan) -> int:
    """At most so many are needed for the responses of an item."""
    ids = sum(_BYTES_PER_VERDICT + _json_bytes(criterion.id) for criterion in plan.rubric.criteria)
    return len(plan.text_of) * (_BYTES_PER_OUTCOME + ids)


def _json_bytes(text: str) -> int:
    if not text.isprintable():
        return 6 * len(text)  # such as \u0001
    return len(text.encode()) + text.count('"') + text.count("\\")


def _rubric(item: ScoreItem, path: str, catalog: RubricCatalog) -> Rubric:
    if item.rubric is not None and item.rubric_id is not None:
        raise InvalidField("rubric_id", "is given together with rubric; give one of the two")
    if item.rubric is not None:
        rubric = _inline(item.rubric)
    elif item.rubric_id is not None:
        rubric = find_rubric(item.rubric_id, catalog, f"{path}rubric_id").rubric
    elif item.base_rubric_id is not None:
        return find_rubric(item.base_rubric_id, catalog, f"{path}base_rubric_id").rubric
    else:
        raise InvalidField("rubric", "is missing; give rubric or rubric_id")
    if item.base_rubric_id is None:
        return rubric
    return rubric.extended_by(find_rubric(item.base_rubric_id, catalog, f"{path}base_rubric_id").rubric)


def _inline(spec: RubricSpec) -> Rubric:
    criteria: list[Criterion] = []
    for index, criterion in enumerate(spec.criteria):
        try:
            criteria.append(criterion.validated())
        except InvalidField as error:
            raise error.under(f"rubric.criteria[{index}]") from error
    try:
        return Rubric(criteria=tuple(criteria))
    except InvalidField as error:
        raise error.under("rubric") from error


def find_rubric(name: str, catalog: RubricCatalog, path: str = "") -> NamedRubric:
    """A rubric by name; `path` is the field that names it.

    Raises:
        ServiceError: not_found.
    """
    named = catalog.find(name)
    if named is None:
        field = f"{path}: " if path else ""
        known = ", ".join(catalog.names)
        raise ServiceError(ErrorCode.NOT_FOUND, f"{field}there is no rubric of that name; there are {known}")
    return named


def _check_text(turns: Sequence[Message], responses: Sequence[str]) -> None:
    if not responses:
        raise InvalidField("responses", "is empty; give at least one response")
    for field, texts in (("prompt", [turn.content for turn in turns]), ("responses", list(responses))):
        for index, text in enumerate(texts):
            check_encodable(text, f"{field}[{index}]")


def _check_ids(ids: Sequence[str]) -> None:
    if not ids:
        raise invalid_field("items", "is empty; send at least one item")
    first: dict[str, int] = {}
    for index, item_id in enumerate(ids):
        if not item_id:
            raise invalid_field(f"items[{index}].id", "is empty; give every item an id")
        if len(item_id) > MAX_ID_CHARACTERS:
            reason = f"has {len(item_id)} characters; at most {MAX_ID_CHARACTERS} are allowed"
            raise invalid_field(f"items[{index}].id", reason)
        if first.setdefault(item_id, index) != index:
            reason = f"is the same as items[{first[item_id]}].id; ids must be unique"
            raise invalid_field(f"items[{index}].id", reason)


def _check_counts(request: ScoreRequest, path: str, limits: Limits) -> None:
    counts = CountLimits(
        max_items=limits.max_items,
        max_responses_per_item=limits.max_responses_per_item,
        max_criteria_per_item=limits.max_criteria_per_item,
    )
    counts.check_items(len(request.items))
    for index, item in enumerate(request.items):
        counts.check_item(
            path.format(index).removesuffix("."),
            responses=len(item.responses),
            criteria=len(item.rubric.criteria) if item.rubric else 0,
            messages=count_turns(item.prompt, MAX_MESSAGES_PER_ITEM + 1),
        )
