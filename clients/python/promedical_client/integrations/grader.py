"""The base of every adapter: it takes samples and gives one grade for each; the responses of a group share a tree.

If a whole call fails, it raises one of `promedical_client.errors`. What one sample is at fault for is the grade of
that sample, an `ErrorInfo`, and the others of its call are scored; frameworks that have no place for an error get
`UnscoredError`. A failure is never a number.
"""

import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar, Unpack, get_args

from promedical import messages as m
from promedical.interop.exchanges import Exchange, Grouping, group
from promedical.interop.gathering import CallLater, Gatherer
from promedical.interop.thoughts import Thoughts, check_thoughts
from promedical.pins import read_pins
from promedical.rubric import InvalidField
from promedical_client.address import DEFAULT_URL, Address
from promedical_client.chunking import OverLimit, merged, refused
from promedical_client.client import DEFAULT_TIMEOUT_S, DEFAULT_WEIGHTS, AsyncClient
from promedical_client.errors import InvalidRequestError, NotFoundError, TooLargeError
from promedical_client.integrations.grades import Grade, Graded
from promedical_client.integrations.samples import Sample, check_pinned, read_sample, unreadable
from promedical_client.integrations.settings import (
    check_known,
    check_options,
    checked_unscored_reward,
    checked_weights,
)
from promedical_client.per_loop import PerLoop
from promedical_client.retry import Deadline
from promedical_client.sync import ClientOptions, LoopThread

T = TypeVar("T")
DEFAULT_RUBRIC: Final = "general-medical"
_LOG: Final = logging.getLogger(__name__)
_FALLBACK: Final = (
    "a sample has neither criteria nor the name of a rubric, and is judged by %s, as are all others like it; fill a "
    "column rubric, criteria, rubrics or rubric_id (or the framework's label), or choose this rubric with rubric_id"
)
_UNKNOWN_RUBRIC: Final = "label: names a rubric that the service does not have; it has "
_MAX_GATHERED: Final = 4096
_MAX_RESPONSES: Final = 128
"""The most responses of one item: the service's own default. If a service allows fewer, the item is halved."""
_Answered = tuple[list[Grade], list[m.ScoreResponse]]
"""One grade per exchange, and the answers behind them."""


class Grader:
    """Grades exchanges; it can be used from any thread, event loop and forked process.

    Args:
        url: The service's URL, or its `Address`, as for `Client`.
        rubric_id: The rubric for exchanges without criteria; if None, `DEFAULT_RUBRIC`, and a warning says so once.
        base_rubric_id: A standing rubric whose criteria are added.
        expected_fingerprint: The fingerprint that the oracle must have.
        expected_rubrics: The rubrics that exchanges may name, the default one too, with their hashes: pins, or
            `NAME=SHA256` separated by commas; empty for any.
        reward_weights: The constants of the reward.
        unscored_reward: What a response that cannot be scored is worth, in frameworks that cannot leave it out; None to
            raise there.
        truncation: Which part of a text that is too long may be cut; by default such a response gets an error.
        thoughts: What is judged of a response with a thought, such as `<think>`: `leave_out` judges the rest, `require`
            only responses that have a thought, `judge` all of it. A response of which nothing is left is empty.
        gather_s: How many seconds `grade_one` waits for others, so that a group shares its tree.
        call_later: Calls a function after some seconds; None for the event loop's own. Tests bring their own clock.
        options: Settings of `AsyncClient`, such as `api_key` and `timeout_s`.

    Raises:
        InvalidRequestError: The expected rubrics cannot be read.
        MisconfiguredError: A setting is not known, or has a value that cannot be used.
    """

    def __init__(  # noqa: PLR0913 - one parameter per setting
        self,
        url: str | Address = DEFAULT_URL,
        *,
        rubric_id: str | None = None,
        base_rubric_id: str | None = None,
        expected_fingerprint: str | None = None,
        expected_rubrics: Iterable[m.RubricPin] | str = (),
        reward_weights: m.WeightsSpec = DEFAULT_WEIGHTS,
        unscored_reward: float | None = None,
        truncation: m.Truncation = "none",
        thoughts: Thoughts = "leave_out",
        gather_s: float = 0.02,
        call_later: CallLater | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        check_options(options, ClientOptions.__annotations__)
        check_known([truncation], get_args(m.Truncation), "truncation")
        self.reward_weights = checked_weights(reward_weights)
        self.unscored_reward = checked_unscored_reward(unscored_reward)
        self._client = AsyncClient(url, **options)
        self._rubric_id = rubric_id or DEFAULT_RUBRIC
        self._default_is_known = rubric_id is not None
        self._base_rubric_id = base_rubric_id
        self._expected_fingerprint = expected_fingerprint
        self._expected_rubrics = _pins(expected_rubrics)
        self._truncation = truncation
        self._thoughts = check_thoughts(thoughts)
        self._timeout_s = options.get("timeout_s", DEFAULT_TIMEOUT_S)
        self._gatherers: PerLoop[Gatherer[None, Sample, Grade]] = PerLoop(
            lambda: Gatherer(
                lambda _, samples: self.grade(samples),
                window_s=gather_s,
                max_size=_MAX_GATHERED,
                call_later=call_later,
            )
        )
        self._closing: PerLoop[set[object]] = PerLoop(set)
        self._threads: dict[int, LoopThread] = {}

    def exchange(self, prompt: Any, response: Any, label: Any = None, *, path: str = "") -> Exchange:
        """One response as a framework hands it out.

        Args:
            prompt: Text, with or without chat markup, or messages.
            response: Text, or the messages that the policy wrote; the last one is judged.
            label: Criteria or the name of a rubric; see `promedical.interop.labels`. Empty: the grader's rubric.
            path: What errors call the place, for example `samples[3]`.

        Raises:
            InvalidRequestError: The exchange cannot be read; trying again does not help.
        """
        try:
            exchange = read_sample(prompt, response, label).judged(self._thoughts)
            if exchange.rubric not in {None, self._rubric_id}:
                check_pinned(exchange.rubric, self._expected_rubrics)
        except InvalidField as error:
            raise InvalidRequestError(str(error.under(path) if path else error)) from None
        return exchange if exchange.rubric else self._by_default(exchange)

    def _by_default(self, exchange: Exchange) -> Exchange:
        """The exchange with the rubric of the grader; a rubric that nobody chose is named once."""
        if not self._default_is_known:
            self._default_is_known = True
            _LOG.warning(_FALLBACK, self._rubric_id)
        return replace(exchange, rubric=self._rubric_id)

    def sample(self, prompt: Any, response: Any, label: Any = None, *, path: str = "") -> Sample:
        """As `exchange`, for samples that are asked about together: an error if the exchange cannot be read."""
        try:
            return self.exchange(prompt, response, label, path=path)
        except InvalidRequestError as error:
            return unreadable(error.message)

    def samples(self, prompts: Sequence[Any], completions: Sequence[Any], labels: Sequence[Any]) -> list[Sample]:
        """A batch of them, one per completion; errors name their place."""
        return [
            self.sample(prompt, completion, label, path=f"completions[{index}]")
            for index, (prompt, completion, label) in enumerate(zip(prompts, completions, labels, strict=True))
        ]

    async def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        """One grade per sample, in order; exchanges with the same prompt and rubric are sent as one item.

        Raises:
            PromedicalError: The call was not answered, and nothing was graded.
        """
        return list((await self.graded(samples)).grades)

    async def graded(self, samples: Sequence[Sample]) -> Graded:
        """The grades, and the oracle that gave them.

        Raises:
            PromedicalError: The call was not answered, and nothing was graded.
        """
        deadline = Deadline.after(self._timeout_s)
        exchanges = [sample for sample in samples if isinstance(sample, Exchange)]
        found, answers = await self._known(exchanges, deadline) if exchanges else ([], [])
        graded = iter(found)
        grades = tuple(next(graded) if isinstance(sample, Exchange) else sample for sample in samples)
        if not answers:
            return Graded(grades=grades)
        whole = merged(answers)
        return Graded(grades=grades, model=whole.model, timings=whole.timings_ms)

    async def _known(self, exchanges: Sequence[Exchange], deadline: Deadline) -> _Answered:
        """Ask; if a rubric is not known, ask again without the exchanges that name it.

        Raises:
            NotFoundError: The base rubric is not known, or all exchanges have no rubric but the grader's.
        """
        try:
            return await self._asked(exchanges, _MAX_RESPONSES, deadline, self._expected_fingerprint)
        except NotFoundError:
            listed = await self._client.rubrics(oracle=self._expected_fingerprint)
            names = {name for info in listed for name in (info.id, f"{info.id}@{info.version}")}
            unknown = [isinstance(exchange.rubric, str) and exchange.rubric not in names for exchange in exchanges]
            if not any(unknown) or {exchange.rubric for exchange in exchanges} == {self._rubric_id}:
                raise
        known = [exchange for exchange, without in zip(exchanges, unknown, strict=True) if not without]
        pin = self._expected_fingerprint
        found, answers = await self._asked(known, _MAX_RESPONSES, deadline, pin) if known else ([], [])
        grades, error = iter(found), unreadable(_UNKNOWN_RUBRIC + ", ".join(sorted(names)))
        return [error if without else next(grades) for without in unknown], answers

    async def _asked(
        self, exchanges: Sequence[Exchange], max_responses: int, deadline: Deadline, oracle: str | None
    ) -> _Answered:
        """Grades and the answers behind them. Responses that are too large together are sent again in halves.

        All are asked of one oracle: the one that is given, or else the one that answers first.
        """
        grouping = group(exchanges, base_rubric_id=self._base_rubric_id, max_responses=max_responses)
        grades, answers = await self._answered(grouping, deadline, oracle)
        sizes = [len(grouping.items[item].responses) for item, _ in grouping.places]
        again = [index for index, size in enumerate(sizes) if size > 1 and isinstance(grades[index], OverLimit)]
        if again:
            half = (max(sizes[index] for index in again) + 1) // 2
            oracle = answers[0].model.fingerprint if answers else oracle
            regraded, more = await self._asked([exchanges[index] for index in again], half, deadline, oracle)
            for index, grade in zip(again, regraded, strict=True):
                grades[index] = grade
            answers += more
        return grades, answers

    async def _answered(self, grouping: Grouping, deadline: Deadline, oracle: str | None) -> _Answered:
        try:
            answer = await self._client.score(
                grouping.items,
                reward_weights=self.reward_weights,
                expected_fingerprint=oracle,
                priority="bulk",
                truncation=self._truncation,
                expected_rubrics=self._expected_rubrics,
                timeout_s=deadline.remaining_s(),
            )
        except TooLargeError as error:
            return [refused(error)] * len(grouping.places), []
        return [_grade(outcome) for outcome in grouping.outcomes(answer.items)], [answer]

    async def grade_one(self, sample: Sample) -> Grade:
        """The grade of one sample, which is sent together with others that arrive at about the same time.

        Raises:
            PromedicalError: The call was not answered.
        """
        return sample if isinstance(sample, m.ErrorInfo) else await self._gatherers.get().submit(None, sample)

    def run(self, ask: Callable[[], Coroutine[None, None, T]]) -> T:
        """Run a coroutine of this grader from a thread without an event loop; several threads' calls are gathered."""
        return self._threads.setdefault(os.getpid(), LoopThread()).run(ask)

    async def aclose(self) -> None:
        """Close the connections of the running event loop. A later call opens new ones."""
        self._gatherers.take()
        await self._client.aclose()

    def close(self) -> None:
        """Close the connections of `run` and end its thread. A later call starts it again."""
        thread = self._threads.pop(os.getpid(), None)
        if thread is not None:
            try:
                thread.run(self.aclose)
            finally:
                thread.close()

    async def closing(self, work: Awaitable[T]) -> T:
        """Do work in an event loop that ends with it. Of those that do so at the same time, the last one closes."""
        together = self._closing.get()
        together.add(work)
        try:
            return await work
        finally:
            together.remove(work)
            if not together:
                await self.aclose()


def _pins(given: Iterable[m.RubricPin] | str) -> tuple[m.RubricPin, ...]:
    try:
        return read_pins(given) if isinstance(given, str) else tuple(given)
    except InvalidField as error:
        raise InvalidRequestError(str(error)) from None


def _grade(outcome: m.ResponseOutcome) -> Grade:
    grade = outcome.scores or outcome.error
    assert grade is not None
    return grade
