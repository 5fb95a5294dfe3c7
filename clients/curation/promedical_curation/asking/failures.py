"""Why a request has no answer, in three kinds. No message holds any text of a prompt, an answer or a key."""

from dataclasses import dataclass
from typing import ClassVar, Literal

Word = Literal[
    "rate_limited",
    "server_error",
    "timeout",
    "connection",
    "broken_answer",
    "not_json",
    "schema_invalid",
    "cut_off",
    "empty",
    "refused",
    "content_filter",
    "too_long",
    "bad_request",
    "bad_text",
]


class AskError(Exception):
    """A request has no answer.

    Args:
        word: The reason, as it is counted.
        message: What happened, in one sentence.

    `detail` is what the server said. It may quote the prompt, so it is shown only where the prompt is our own.
    """

    final: ClassVar[bool] = False
    """Whether the same request would fail again."""

    def __init__(self, word: str, message: str) -> None:
        super().__init__(message)
        self.word = word
        self.detail = ""


class RetriableError(AskError):
    """The same request may be answered later: 408, 409, 429, 5xx, timeouts, resets, broken answers.

    Args:
        retry_after_s: How long the server asked to wait.
    """

    def __init__(self, word: Word, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(word, message)
        self.retry_after_s = retry_after_s


class RepairableError(AskError):
    """There is an answer, but not one that can be used. The model may do better if it is told why.

    Args:
        advice: What to tell the model. It may quote the answer, so it goes to the model only.
    """

    def __init__(self, word: Word, message: str, *, advice: str) -> None:
        super().__init__(word, message)
        self.advice = advice


class FinalError(AskError):
    """The model or its server declines this request, and would do so again: a refusal, a filter, too many tokens."""

    final = True


class UnusedEndpointError(AskError):
    """The endpoint cannot be used for any request: a wrong key, an unknown model, a redirect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """A request without a usable answer, once all was tried.

    Attributes:
        error: The reason, as it is counted.
        message: What happened.
        key: The key of the request that was sent last.
        final: Whether this request is never sent again.
    """

    error: str
    message: str
    key: str
    final: bool
