"""The settings of every adapter, the same by keyword and from the environment; what is not known is refused. Pure."""

import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from promedical.messages import WeightsSpec
from promedical.rubric import InvalidField
from promedical_client.address import ENVIRONMENT
from promedical_client.errors import MisconfiguredError

_PREFIX: Final = "PROMEDICAL_CLIENT_"
_ALIKE: Final = 0.7
_OF_KUBERNETES: Final = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)(_\w+)?)?)\Z")
"""What Kubernetes sets in every pod for a service named promedical-client."""

_WEIGHTS: Final = {
    "proficiency_mode": str,
    "excellence_weight": float,
    "excellence_cap": float,
    "violation_penalty": float,
}
SETTINGS: Final[Mapping[str, Callable[[str], Any]]] = {
    **dict.fromkeys(ENVIRONMENT, str),
    "rubric_id": str,
    "base_rubric_id": str,
    "expected_fingerprint": str,
    "expected_rubrics": str,
    **_WEIGHTS,
    "unscored_reward": float,
    "truncation": str,
    "thoughts": str,
    "timeout_s": float,
    "gather_s": float,
}
"""Each setting, and what it is read with where it is text."""

VARIABLES: Final = {name: ENVIRONMENT.get(name, _PREFIX + name.upper()) for name in SETTINGS}
"""The environment variable of each setting."""


def from_environment() -> dict[str, str]:
    """The settings that the environment has.

    Raises:
        MisconfiguredError: A variable has the prefix of settings and is none.
    """
    given = (name for name in os.environ if name.startswith(_PREFIX) and not _OF_KUBERNETES.search(name))
    check_known(given, VARIABLES.values(), "environment variable")
    return {name: os.environ[variable] for name, variable in VARIABLES.items() if os.environ.get(variable)}


def grader_arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as the constructor of `Grader` takes them; what is None counts as not given.

    Raises:
        MisconfiguredError: A setting is not known, or has a value that cannot be used.
    """
    check_known(given, SETTINGS, "setting")
    read = {name: _read(name, value) for name, value in given.items() if value is not None}
    weights = {name: read.pop(name) for name in _WEIGHTS if name in read}
    return {**read, "reward_weights": checked_weights(WeightsSpec(**weights))} if weights else read


def checked_weights(weights: WeightsSpec) -> WeightsSpec:
    """The weights.

    Raises:
        MisconfiguredError: One of them is out of its range.
    """
    try:
        weights.validated()
    except InvalidField as error:
        raise MisconfiguredError(str(error)) from None
    return weights


def checked_unscored_reward(reward: float | None) -> float | None:
    """The reward that stands for a response without one.

    Raises:
        MisconfiguredError: It is not a finite number.
    """
    if reward is None:
        return None
    if isinstance(reward, bool) or not isinstance(reward, int | float) or not math.isfinite(reward):
        raise MisconfiguredError(f"unscored_reward is {reward!r}; expected a finite number, such as -1.5, or nothing")
    return float(reward)


def check_options(given: Iterable[str], known: Collection[str]) -> None:
    """Refuse an argument of `Grader` that it does not have.

    Raises:
        MisconfiguredError: One of them is not known; the message says what may be meant.
    """
    for name in given:
        if name in _WEIGHTS:
            raise MisconfiguredError(f"setting {name}: is part of reward_weights; give WeightsSpec({name}=...) there")
    check_known(given, {*SETTINGS, "reward_weights", *known} - _WEIGHTS.keys(), "setting")


def check_known(given: Iterable[str], known: Collection[str], what: str) -> None:
    """Refuse a name that is not known, since what it was meant to do would silently not be done.

    Raises:
        MisconfiguredError: One of them is not known; the message says which one may be meant.
    """
    for name in given:
        if name not in known:
            meant = alike(name, known)
            hint = f"did you mean {meant}?" if meant else f"known are {', '.join(sorted(known))}"
            raise MisconfiguredError(f"{what} {name}: is not known; {hint}")


def alike(name: str, known: Collection[str]) -> str | None:
    """The known name that one is much like."""
    return next(iter(get_close_matches(name, sorted(known), n=1, cutoff=_ALIKE)), None)


def _read(name: str, value: Any) -> Any:
    if not isinstance(value, str) or SETTINGS[name] is str:
        return value
    try:
        return SETTINGS[name](value)
    except ValueError:
        raise MisconfiguredError(f"{name} is {value!r}; expected a number") from None
