"""The asynchronous client: one call is checked, cut into chunks, sent, retried and put together again.

`check_items -> ScoringJob (chunks, several at once) -> _call -> retry -> transport -> check_answer -> merged`
"""

import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypedDict, TypeVar, Unpack

from promedical import messages as m
from promedical_client import checks
from promedical_client.address import DEFAULT_URL, Address
from promedical_client.asking import request_of, typed
from promedical_client.job import OnOutcomes, Pace, Progress, ScoringJob
from promedical_client.retry import MAX_ATTEMPTS, Deadline, RetryPolicy
from promedical_client.shadow import Shadow
from promedical_client.transports.base import MAX_TIMEOUT_S, Call, Transport
from promedical_client.transports.opening import open_transport

T = TypeVar("T")

DEFAULT_WEIGHTS: Final = m.WeightsSpec()
DEFAULT_TIMEOUT_S: Final = 120.0


class AskOptions(TypedDict, total=False):
    """The options of every question.

    Attributes:
        reward_weights: The constants of the reward.
        expected_fingerprint: The fingerprint that the oracle must have.
        priority: Lane in the queue; by default interactive for one item and bulk for more.
        truncation: Which part of a text that is too long may be cut; by default such a response gets an error.
        expected_rubrics: The rubrics that items may name, with their hashes, such as the `pin` of what `rubrics`
            gives; empty for any. They are sent if an item names a rubric.
    """

    reward_weights: m.WeightsSpec
    expected_fingerprint: str | None
    priority: m.Priority | None
    truncation: m.Truncation
    expected_rubrics: tuple[m.RubricPin, ...]


class ScoreOptions(AskOptions, total=False):
    """The options of `score`; see there."""

    unscored_reward: float | None
    timeout_s: float | None
    chunk_timeout_s: float | None
    on_progress: Progress | None
    on_outcomes: OnOutcomes | None


class RankOptions(AskOptions, total=False):
    """The options of `rank`, and of `score_one` but for one."""

    rubric: m.RubricSpec | None
    rubric_id: str | None
    base_rubric_id: str | None
    timeout_s: float | None


class ScoreOneOptions(RankOptions, total=False):
    """The options of `score_one`."""

    unscored_reward: float | None


class AsyncClient:
    """Asks the reward oracle, from one or more event loops.

    Every call has one total deadline. Connections are opened on first use, per process and event loop, so that
    a client may be made before a fork. Close it, or use it as an async context manager.

    Args:
        url: `grpc://HOST:PORT`, `grpcs://HOST:PORT`, `http://HOST:PORT` or `https://HOST:PORT`; or an `Address`, which
            holds the API key and the TLS files too.
        api_key: Sent as `authorization: Bearer`.
        timeout_s: Total time of a call in seconds, including retries and all chunks, unless the call sets its own;
            `math.inf` for no limit. A single attempt waits for at most a day.
        max_attempts: How often one request is sent at most; only errors that the contract calls retryable are sent
            again. The waits in between double from 0.2 s to 20 s, or are as long as the server asks if that is longer.
            Ten attempts last through a restart or a full queue of about a minute, within `timeout_s`.
        max_in_flight: How many chunks of one call may be in flight at the same time.
        ca_file: PEM file of the authorities to trust for `grpcs://` and `https://`.
        cert_file: PEM file of this client's certificate, for mutual TLS.
        key_file: PEM file of the certificate's key.
        transport: A transport to use instead of the one that `url` names, for example a `MockTransport`.
        shadow: A candidate that scores a share of the requests too, to compare; it is closed with the client.

    Raises:
        MisconfiguredError: The address, or a variable of the environment such as a proxy, cannot be used.
        ValueError: Another argument cannot be used.
        OSError: A TLS file cannot be read.
    """

    def __init__(
        self,
        url: str | Address = DEFAULT_URL,
        *,
        api_key: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        max_attempts: int = MAX_ATTEMPTS,
        max_in_flight: int = 4,
        ca_file: str | Path | None = None,
        cert_file: str | Path | None = None,
        key_file: str | Path | None = None,
        transport: Transport | None = None,
        shadow: Shadow | None = None,
    ) -> None:
        checks.check_settings(timeout_s, max_attempts, max_in_flight)
        access = {"api_key": api_key, "ca_file": ca_file, "cert_file": cert_file, "key_file": key_file}
        live = transport or open_transport(_address(url, access))
        self._transport = live if shadow is None else shadow.over(live)
        self._timeout_s = timeout_s
        self._max_in_flight = max_in_flight
        self._retries = RetryPolicy(max_attempts=max_attempts)

    async def score(
        self,
        items: Iterable[m.ScoreItem],
        *,
        unscored_reward: float | None = None,
        timeout_s: float | None = None,
        chunk_timeout_s: float | None = None,
        on_progress: Progress | None = None,
        on_outcomes: OnOutcomes | None = None,
        **options: Unpack[AskOptions],
    ) -> m.ScoreResponse:
        """Score any number of items; the answer holds one outcome per item, in order.

        If one item or one response is wrong, its outcome holds an `ErrorInfo`. Large jobs are sent in
        chunks; usage is the sum over the chunks, timings are the longest.

        Args:
            items: The items; their ids must be unique within the call.
            unscored_reward: The reward to record for a response that cannot be scored; its error repeats it.
                It still has no scores.
            timeout_s: Total time in seconds, instead of the client's.
            chunk_timeout_s: Seconds for each chunk, for jobs of hours with `timeout_s=math.inf`. The job then begins
                with single items, and chunks grow as far as the service is fast enough.
            on_progress: Called as chunks come back.
            on_outcomes: Called with what they hold, so that nothing is lost if the process ends before the job does.
            options: See `AskOptions`.

        Raises:
            InvalidRequestError: The job or the weights are not valid, and nothing was scored.
            RevisionMismatchError: The oracle or a rubric is not the expected one, or changed within the call.
            TooLargeError: Every item is over a limit of the service; if only some are, each of them gets an error.
            PromedicalError: The call was not answered; see the tree in `promedical_client.errors`. Its `partial`
                holds the outcomes of the items that were answered, so that a late failure does not lose a large job.
        """
        request = replace(request_of(items, options), unscored_reward=unscored_reward)
        checks.check_timeout("chunk_timeout_s", chunk_timeout_s)
        deadline = self._deadline(timeout_s)
        pace = Pace(
            max_in_flight=self._max_in_flight,
            deadline_s=min(deadline.total_s, chunk_timeout_s or deadline.total_s),
            renewed=chunk_timeout_s is not None,
            on_progress=on_progress,
            on_outcomes=on_outcomes,
        )

        def ask(chunk: m.ScoreRequest) -> Awaitable[m.ScoreResponse]:
            within = deadline.within(chunk_timeout_s)
            return self._call(lambda call: self._transport.score(chunk, call), within, chunk.expected_fingerprint)

        return await ScoringJob(request, ask, pace).run()

    async def score_one(
        self,
        prompt: str | Sequence[m.Message],
        responses: Sequence[str],
        *,
        rubric: m.RubricSpec | None = None,
        rubric_id: str | None = None,
        base_rubric_id: str | None = None,
        unscored_reward: float | None = None,
        timeout_s: float | None = None,
        **options: Unpack[AskOptions],
    ) -> m.ItemOutcome:
        """Score the responses to one prompt. For `options` see `AskOptions`, for errors `score`."""
        checks.check_question(prompt, responses)
        with typed():
            item = m.ScoreItem(
                id="one",
                prompt=_frozen(prompt),
                responses=tuple(responses),
                rubric=rubric,
                rubric_id=rubric_id,
                base_rubric_id=base_rubric_id,
            )
        answer = await self.score((item,), unscored_reward=unscored_reward, timeout_s=timeout_s, **options)
        return answer.items[0]

    async def rank(
        self,
        prompt: str | Sequence[m.Message],
        responses: Sequence[str],
        *,
        rubric: m.RubricSpec | None = None,
        rubric_id: str | None = None,
        base_rubric_id: str | None = None,
        timeout_s: float | None = None,
        **options: Unpack[AskOptions],
    ) -> m.RankResponse:
        """Put the responses to one prompt in order, best first. For `options` see `AskOptions`, for errors `score`."""
        checks.check_question(prompt, responses)
        pins = options.get("expected_rubrics", ())
        options["expected_rubrics"] = checks.pins_to_send(pins, (rubric_id, base_rubric_id))
        with typed():
            request = m.RankRequest(
                prompt=_frozen(prompt),
                responses=tuple(responses),
                rubric=rubric,
                rubric_id=rubric_id,
                base_rubric_id=base_rubric_id,
                **options,
            )
        deadline = self._deadline(timeout_s)
        pin = request.expected_fingerprint
        answer = await self._call(lambda call: self._transport.rank(request, call), deadline, pin)
        checks.check_outcome(len(request.responses), answer.error, answer.result)
        checks.check_rubrics(request.as_score_request(), answer.rubrics, (answer.result,))
        return answer

    async def rubrics(self, *, oracle: str | None = None) -> tuple[m.RubricInfo, ...]:
        """Every rubric that the service knows by name. For `oracle` see `model`."""
        return (await self._call(self._transport.list_rubrics, self._deadline(None), oracle)).rubrics

    async def rubric(self, name: str, *, oracle: str | None = None) -> m.RubricInfo:
        """The rubric called `id@version`, or the newest one called `id`. For `oracle` see `model`.

        Raises:
            NotFoundError: There is no such rubric.
            InvalidRequestError: No rubric can have this name.
        """
        checks.check_text(name, "rubric_id")
        return await self._call(lambda call: self._transport.get_rubric(name, call), self._deadline(None), oracle)

    async def model(self, *, oracle: str | None = None) -> m.ModelInfo:
        """What the oracle is: the fingerprint to pin, whether it is trained, its limits and licence.

        Args:
            oracle: The fingerprint of the one to ask, where a gateway has several behind it. The answer says who it
                is from, which without such a gateway may be another one.
        """
        return await self._call(self._transport.get_model, self._deadline(None), oracle)

    async def aclose(self) -> None:
        """Close the connections of the running event loop. A later call opens new ones.

        Calls in flight end with `UnavailableError`.
        """
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _deadline(self, timeout_s: float | None) -> Deadline:
        checks.check_timeout("timeout_s", timeout_s)
        return Deadline.after(self._timeout_s if timeout_s is None else timeout_s)

    async def _call(self, ask: Callable[[Call], Awaitable[T]], deadline: Deadline, oracle: str | None) -> T:
        request_id = str(uuid.uuid4())

        def send(left_s: float) -> Awaitable[T]:
            return ask(Call(timeout_s=min(left_s, MAX_TIMEOUT_S), request_id=request_id, oracle=oracle))

        return await self._retries.run(send, deadline)


def _address(url: str | Address, access: Mapping[str, Any]) -> Address:
    if not isinstance(url, Address):
        return Address(url, **access)
    beside = [name for name, value in access.items() if value is not None]
    if beside:
        raise ValueError(f"{', '.join(beside)}: given together with an Address; put them into the Address")
    return url


def _frozen(prompt: str | Sequence[m.Message]) -> str | tuple[m.Message, ...]:
    return prompt if isinstance(prompt, str) else tuple(prompt)
