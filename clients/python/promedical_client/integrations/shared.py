"""The grader that a process shares among the reward functions that frameworks load by name."""

import functools
from collections.abc import Mapping
from typing import Any

from promedical_client.errors import MisconfiguredError
from promedical_client.integrations.grader import Grader
from promedical_client.integrations.settings import SETTINGS, check_known, from_environment, grader_arguments


def shared_grader(**settings: Any) -> Grader:
    """The process's grader for these settings.

    Args:
        settings: `url`, `rubric_id` and so on: the names of `settings.SETTINGS`. Missing ones come from
            `PROMEDICAL_URL`, `PROMEDICAL_API_KEY`, `PROMEDICAL_CA_FILE`, and from `PROMEDICAL_CLIENT_` followed by the
            name in capitals.

    Raises:
        MisconfiguredError: A setting or a variable is not known, or has a value that cannot be used.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    return _grader(frozenset((from_environment() | given).items()))


def chosen_grader(grader: Grader | None, settings: Mapping[str, Any]) -> Grader:
    """The grader that the user gave a reward function, or the shared one for its settings.

    Raises:
        MisconfiguredError: A setting is not known, cannot be used, or is given together with a grader.
    """
    if grader is None:
        return shared_grader(**settings)
    check_known(settings, SETTINGS, "setting")
    beside = [name for name, value in settings.items() if value is not None]
    if beside:
        raise MisconfiguredError(f"{', '.join(beside)}: given together with a grader; give them to the Grader")
    return grader


@functools.cache
def _grader(settings: frozenset[tuple[str, Any]]) -> Grader:
    return Grader(**grader_arguments(dict(settings)))
