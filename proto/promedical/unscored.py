"""What a caller takes instead of the reward of a response that has none: part of the error, and no score. Pure."""

from dataclasses import replace

from promedical.messages import ErrorInfo, ItemOutcome


def with_unscored_reward(outcome: ItemOutcome, reward: float | None) -> ItemOutcome:
    """The same outcome, whose errors say what the caller takes instead; as it is if the caller said nothing."""
    if reward is None:
        return outcome
    if outcome.result is None:
        return replace(outcome, error=_said(outcome.error, reward))
    responses = tuple(replace(each, error=_said(each.error, reward)) for each in outcome.result.responses)
    return replace(outcome, result=replace(outcome.result, responses=responses))


def _said(error: ErrorInfo | None, reward: float) -> ErrorInfo | None:
    return error and replace(error, unscored_reward=reward)
