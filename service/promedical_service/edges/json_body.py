"""Reads REST bodies up to a limit and parses them strictly; errors name fields but never quote them."""

import asyncio
import dataclasses
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NoReturn, TypeVar

from pydantic import TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect, Request

from promedical import messages
from promedical.errors import ErrorCode
from promedical.rubric import check_encodable
from promedical_data.faults import near_field
from promedical_service.edges.strict_json import parse_strictly, texts
from promedical_service.errors import MAX_VIOLATIONS, ServiceError, Violation, invalid
from promedical_service.limits import CountLimits

BODY_TIMEOUT_S: Final = 60.0
UNSUPPORTED_MEDIA_TYPE: Final = 415
_MAX_KEY_CHARS: Final = 64
_UNKNOWN_FIELD: Final = frozenset({"unexpected_keyword_argument", "extra_forbidden"})
_PROMPT_SHAPES: Final = ("str", "tuple[Message, ...]")
_KIND: Final = re.compile(r"str|dict|[a-z]+\[.*\]|[A-Z]\w*")
"""What pydantic's paths hold for the members of a union; fields of the wire are in lower case."""
_TEXT_MESSAGE: Final = "Input should be a valid string or a list"
_SHAPE_MESSAGE: Final = "Input should be a valid string or a list of messages"
_MAX_READ_ERRORS: Final = 100_000
_NO_JSON: Final = "json_invalid"
_ASKED: Final = (
    messages.ScoreRequest,
    messages.RankRequest,
    messages.ScoreItem,
    messages.Message,
    messages.RubricSpec,
    messages.CriterionSpec,
    messages.WeightsSpec,
    messages.RubricPin,
)
_FIELD_NAMES: Final = sorted({field.name for kind in _ASKED for field in dataclasses.fields(kind)})

Asked = TypeVar("Asked")


async def read_body(request: Request, limit: int, hold: Callable[[int], None], within_s: float | None = None) -> bytes:
    """The whole body, which must arrive within `within_s`, and within `BODY_TIMEOUT_S` in any case.

    Args:
        request: The request; its body must not have been read.
        limit: The most bytes.
        hold: It is told of the bytes as they arrive, before they are kept, and may refuse them.
        within_s: How many seconds the caller still waits.

    Raises:
        ServiceError: The headers do not say JSON, the body is over the limit (declared or as it arrives), or it is
            too slow.
    """
    _check_headers(request, limit)
    seconds = BODY_TIMEOUT_S if within_s is None else min(within_s, BODY_TIMEOUT_S)
    try:
        async with asyncio.timeout(seconds):
            return await _collect(request, limit, hold)
    except TimeoutError:
        message = f"The body took over {seconds:.3g} s to arrive; send smaller requests or check the network"
        raise ServiceError(ErrorCode.DEADLINE, message) from None
    except ClientDisconnect:
        raise ServiceError(ErrorCode.CANCELLED, "The caller went away while it sent the body") from None


def parse_body(
    adapter: TypeAdapter[Asked], body: bytes, limits: CountLimits, shape: type[Asked] | None = None
) -> Asked:
    """Decode a JSON body, which `adapter` reads as `shape`; the latter is for hints that name a field of the place.

    Counts are checked first, since they decide the cost: before an object or an error per element is built.

    Raises:
        ServiceError: invalid_request, with the path of each field at fault.
        InvalidField: A text is not valid Unicode.
        ServiceError: too_large, with the path of what holds too much.
    """
    parsed = parse_strictly(body, limits.max_values)
    _check_counts(parsed, limits)
    return validate_body(adapter, body, parsed, shape)


def validate_body(adapter: TypeAdapter[Asked], body: bytes, parsed: Any, shape: type[Asked] | None = None) -> Asked:
    """Decode a JSON body whose counts have been checked.

    Args:
        adapter: The adapter of the request's type.
        body: The body as it came.
        parsed: The body as plain JSON.
        shape: The request's type, for hints that name a field of the place.

    Raises:
        ServiceError: invalid_request, with the path of each field at fault.
        InvalidField: A text is not valid Unicode.
    """
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        found = violations(error, shape)
        if error.errors(include_input=False, include_url=False)[0]["type"] == _NO_JSON:
            _check_texts(parsed)
    raise invalid(found)  # outside: the validation error holds the body, and must not live on in ours


def _check_texts(parsed: Any) -> None:
    """Find a lone surrogate's field, since the fast parser only says at which byte it is."""
    for loc, text in texts(parsed):
        known = itertools.takewhile(lambda part: isinstance(part, int) or part in _FIELD_NAMES, loc)
        check_encodable(text, _path(list(known)))


def _check_counts(asked: Any, limits: CountLimits) -> None:
    """Check the counts of plain JSON. Values of a wrong type are skipped here; validation names them."""
    items = _member(asked, "items")
    limits.check_items(_size(items))
    limits.check_pins(_size(_member(asked, "expected_rubrics")))
    for index, item in enumerate(items if isinstance(items, list) else []):
        _check_item(item, f"items[{index}]", limits)
    _check_item(asked, "", limits)  # a request to rank is an item itself


def _check_item(item: Any, path: str, limits: CountLimits) -> None:
    limits.check_item(
        path,
        responses=_size(_member(item, "responses")),
        criteria=_size(_member(_member(item, "rubric"), "criteria")),
        messages=_size(_member(item, "prompt")),
    )


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _size(value: Any) -> int:
    return len(value) if isinstance(value, list) else 0


def _check_headers(request: Request, limit: int) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        _refuse_media("The content type is not supported; send JSON as application/json")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        _refuse_media("Compressed bodies are not supported; send plain JSON without content-encoding")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        _refuse_size(limit)


async def _collect(request: Request, limit: int, hold: Callable[[int], None]) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        if len(body) + len(chunk) > limit:
            _refuse_size(limit)
        hold(len(chunk))
        body += chunk
    return bytes(body)


def _refuse_size(limit: int) -> NoReturn:
    message = f"The body is over the limit of {limit} bytes; send fewer items per request"
    raise ServiceError(ErrorCode.TOO_LARGE, message)


def _refuse_media(message: str) -> NoReturn:
    raise ServiceError(ErrorCode.INVALID_REQUEST, message, http_status=UNSUPPORTED_MEDIA_TYPE)


def violations(error: ValidationError, shape: type | None = None) -> list[Violation]:
    """The first faults, one more than are shown; the time is linear in the number of all faults."""
    if error.error_count() > _MAX_READ_ERRORS:
        return [
            Violation(field="", message=f"The body has more than {_MAX_READ_ERRORS} faults; see /docs for its shape")
        ]
    details = error.errors(include_input=False, include_url=False, include_context=False)
    deeper = {inner for detail in details for inner in _prompts_within(detail["loc"])}
    found: dict[Violation, None] = {}
    for detail in details:
        if len(found) > MAX_VIOLATIONS:
            break
        # A prompt is a string or a list; the complaint about the form that was not meant would only confuse.
        if not (_is_shape(detail["loc"]) and detail["loc"][:-1] in deeper):
            found[_violation(detail["type"], detail["loc"], detail["msg"], shape)] = None
    return list(found)


def _prompts_within(loc: Sequence[int | str]) -> Iterator[tuple[int | str, ...]]:
    """The prompts that have a complaint about something inside them, which says more than one about their form."""
    return (tuple(loc[:index]) for index, part in enumerate(loc[:-1]) if part in _PROMPT_SHAPES)


def _is_shape(loc: Sequence[int | str]) -> bool:
    return bool(loc) and loc[-1] in _PROMPT_SHAPES


def _violation(kind: str, loc: Sequence[int | str], message: str, shape: type | None) -> Violation:
    if kind in _UNKNOWN_FIELD:
        return Violation(field=_path(loc[:-1]), message=_unknown_field(loc, shape))
    if _is_shape(loc):
        return Violation(field=_path(loc), message=_SHAPE_MESSAGE if "prompt" in loc else _TEXT_MESSAGE)
    return Violation(field=_path(loc), message=message)


def _unknown_field(loc: Sequence[int | str], shape: type | None) -> str:
    """The message about an unknown field. It never says the field's name: a caller can put anything there."""
    near = near_field(loc, shape) if len(str(loc[-1])) <= _MAX_KEY_CHARS else None
    hint = f'; did you mean "{near}"?' if near else "; see /docs for the known fields"
    return f"Unknown field in this object{hint}"


def _path(loc: Sequence[int | str]) -> str:
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not _KIND.fullmatch(part):
            path += f".{part}" if path else part
    return path
