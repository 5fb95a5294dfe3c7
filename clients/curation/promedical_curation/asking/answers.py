"""What a model said, read from an OpenAI chat completion, and whether it can be used. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, Literal

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from promedical.plain_json import read_plain_json
from promedical_curation.asking.failures import FinalError, RepairableError, RetriableError
from promedical_curation.asking.requests import Request, canonical_json

_ENDED: Final = {"stop", "eos", "eos_token", "end_turn", "stop_sequence"}
"""What servers call the end of an answer that is complete."""
_THOUGHT: Final = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_FENCED: Final = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One completion as it came, whether it is any good or not: it was paid for.

    Attributes:
        text: What the model said.
        finish: Why it ended: "stop", "length", "content_filter".
        refusal: The model's refusal, where the server tells it apart.
        reasoning: What the model thought before, where the endpoint gives it.
        logprobs: The log probabilities of the tokens, as the server gave them.
        model: The name by which the server calls the model.
        input_tokens: Tokens of the prompt.
        output_tokens: Tokens of the answer, with those of the reasoning.
        cost: US dollars; None if no price is known.
        seconds: How long the call took that was answered.
        attempts: How many calls it took.
        at: When it was answered, in seconds since 1970.
        origin: Whether it was asked by a call or by a batch file.
    """

    text: str
    finish: str
    refusal: str | None = None
    reasoning: str | None = None
    logprobs: Any = None
    model: str
    input_tokens: int
    output_tokens: int
    cost: float | None = None
    seconds: float = 0.0
    attempts: int = 1
    at: float = 0.0
    origin: Literal["call", "batch"] = "call"

    @property
    def value(self) -> Any:
        """The answer to a request with a schema, as JSON. Only of an answer that passed `check_answer`."""
        return read_plain_json(_bare(self.text))


def read_completion(body: Any, *, reasoning_field: str | None = None) -> Answer:
    """The answer in a chat completion.

    Raises:
        RetriableError: It is not a chat completion.
    """
    try:
        choice, usage = body["choices"][0], body.get("usage") or {}
        message = choice["message"]
        return Answer(
            text=_whole(message.get("content") or ""),
            finish=choice.get("finish_reason") or "unknown",
            refusal=message.get("refusal"),
            reasoning=message.get(reasoning_field) if reasoning_field else None,
            logprobs=choice.get("logprobs"),
            model=str(body.get("model", "")),
            input_tokens=int(usage.get("prompt_tokens", 0)),
            output_tokens=int(usage.get("completion_tokens", 0)),
        )
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        raise RetriableError("broken_answer", "the server's answer is not a chat completion") from None


def check_answer(request: Request, answer: Answer) -> None:
    """Whether this answer to the request can be used.

    Raises:
        FinalError: The model refused, or its answer was filtered.
        RepairableError: It was cut off, is empty, is not JSON, or does not follow the schema.
    """
    if answer.refusal:
        raise FinalError("refused", "the model refused to answer")
    if answer.finish == "content_filter":
        raise FinalError("content_filter", "the provider's content filter stopped the answer")
    if answer.finish == "length":
        raise RepairableError(
            "cut_off",
            f"the answer was cut off after {answer.output_tokens} tokens (max_tokens is {request.max_tokens})",
            advice="Your last answer was too long and was cut off. Answer again, much more briefly.",
        )
    if answer.finish not in _ENDED:
        raise RepairableError(
            "broken_answer",
            "the answer ended for another reason than stop",
            advice="Your last answer did not end as expected. Answer again, in text only.",
        )
    if not answer.text.strip():
        raise RepairableError("empty", "the answer is empty", advice="Your last answer was empty. Answer again.")
    if request.schema is not None:
        _check_schema(request.schema, answer)


def _check_schema(schema: Mapping[str, Any], answer: Answer) -> None:
    try:
        value = answer.value
    except (ValueError, RecursionError):
        raise RepairableError(
            "not_json", "the answer is not JSON", advice="Your last answer was not JSON. Answer with one JSON object."
        ) from None
    error = best_match(_validator(canonical_json(schema)).iter_errors(value))
    if error is not None:
        raise RepairableError(
            "schema_invalid",
            f"the answer does not follow its schema: {_place(error)} breaks {error.validator!r}",
            advice=f"Your last answer does not follow the JSON schema: {error.message[:300]}. Correct it.",
        )


def _place(error: ValidationError) -> str:
    """Where, by the names of the schema: the answer's own names may hold text."""
    names = [str(part) for part in error.absolute_schema_path if isinstance(part, str)]
    fields = [after for before, after in pairwise(names) if before == "properties"]
    return ".".join(fields) or "its top level"


@lru_cache(maxsize=64)
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema))


def _bare(text: str) -> str:
    """The text without the thought before it and the fence around it."""
    said = _THOUGHT.sub("", text)
    fenced = _FENCED.match(said)
    return fenced[1] if fenced else said


def _whole(text: str) -> str:
    """The text with halves of surrogate pairs replaced, which no file in UTF-8 can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
