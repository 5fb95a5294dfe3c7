"""Asks every endpoint a tiny question before a run, so that what is wrong is said once and not by every row.

The question and the schemas are the project's own, so the server's words about them may be shown. What the questions
cost, a few tokens, is not in the ledger.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from promedical_curation.asking.answers import Answer, check_answer
from promedical_curation.asking.calls import Caller
from promedical_curation.asking.endpoints import Endpoint
from promedical_curation.asking.failures import AskError, FinalError, RepairableError, RetriableError
from promedical_curation.asking.requests import Request
from promedical_curation.errors import CurationError

Schema = Mapping[str, Any]

TINY: Final[Schema] = {
    "type": "object",
    "properties": {"ready": {"type": "boolean"}},
    "required": ["ready"],
    "additionalProperties": False,
}
_QUESTION: Final = "Are you ready?"
_TOKENS: Final = 64
_TIMEOUT_S: Final = 60.0
_TRIES: Final = 3


async def check_endpoints(asked: Iterable[tuple[Endpoint, Sequence[Schema]]]) -> None:
    """Check that each endpoint answers, and takes these schemas.

    Raises:
        CurationError: Some do not. The message has a line for every problem.
    """
    checks = [_problems(replace(each, timeout_s=min(each.timeout_s, _TIMEOUT_S)), schemas) for each, schemas in asked]
    problems = [problem for some in await asyncio.gather(*checks) for problem in some]
    if problems:
        raise CurationError("\n".join(problems))


async def _problems(endpoint: Endpoint, schemas: Sequence[Schema]) -> list[str]:
    try:
        caller = Caller(endpoint)
    except CurationError as error:
        return [str(error)]
    try:
        if problem := await _problem(caller, None):
            return [problem]
        found = [await _problem(caller, schema) for schema in (TINY, *schemas)]
        return [problem for problem in found if problem]
    finally:
        await caller.close()


async def _problem(caller: Caller, schema: Schema | None) -> str | None:
    endpoint = caller.endpoint
    where = f"endpoint {endpoint.name} ({endpoint.base_url})"
    request = _request(endpoint, schema)
    try:
        answer = await _call(caller, request)
    except FinalError as error:
        return _refusal(endpoint, where, schema, error)
    except AskError as error:
        said = f"; it says: {error.detail}" if error.detail else ""
        return f"{where}: {error}{said}; is the server running, and is the address right?"
    if schema is None:
        missing = endpoint.logprobs and answer.logprobs is None
        return f"{where}: gives no log probabilities; set logprobs: false for it" if missing else None
    return _ignored(endpoint, where, request, answer) if schema is TINY else None


async def _call(caller: Caller, request: Request) -> Answer:
    tries = AsyncRetrying(
        retry=retry_if_exception_type(RetriableError), wait=wait_fixed(1), stop=stop_after_attempt(_TRIES), reraise=True
    )
    return await tries(caller.call, request)


def _request(endpoint: Endpoint, schema: Schema | None) -> Request:
    logprobs = {"logprobs": True} if endpoint.logprobs else {}
    message = {"role": "user", "content": _QUESTION}
    return endpoint.request(message, prompt_version="check", max_tokens=_TOKENS, schema=schema, **logprobs)


def _refusal(endpoint: Endpoint, where: str, schema: Schema | None, error: FinalError) -> str:
    said = f"; it says: {error.detail}" if error.detail else ""
    if schema is None:
        return f"{where}: {error}{said}; check model and parameters"
    which = (
        "JSON schemas" if schema is TINY else f"the schema with the fields {', '.join(schema.get('properties', {}))}"
    )
    advice = "json_object or none" if endpoint.output == "json_schema" else "none"
    return f"{where}: does not accept {which}{said}; set output: {advice} for it"


def _ignored(endpoint: Endpoint, where: str, request: Request, answer: Answer) -> str | None:
    """Whether a server that is said to hold its model to a schema does not."""
    try:
        check_answer(request, answer)
    except RepairableError as error:
        if endpoint.output == "json_schema" and error.word in {"not_json", "schema_invalid"}:
            return f"{where}: {error}, so it does not hold its model to a schema; set output: json_object or none"
    except FinalError:
        pass
    return None
