"""The grader that a process shares among the reward functions that frameworks load by name."""

import functools
import os
from typing import Final

from promedical_client.address import ENVIRONMENT
from promedical_client.integrations.grader import Grader

_ENVIRONMENT: Final = {
    **ENVIRONMENT,
    "rubric_id": "PROMEDICAL_CLIENT_RUBRIC_ID",
    "base_rubric_id": "PROMEDICAL_CLIENT_BASE_RUBRIC_ID",
    "expected_fingerprint": "PROMEDICAL_CLIENT_EXPECTED_FINGERPRINT",
    "expected_rubrics": "PROMEDICAL_CLIENT_EXPECTED_RUBRICS",
    "thoughts": "PROMEDICAL_CLIENT_THOUGHTS",
}


def shared_grader(**settings: str) -> Grader:
    """The process's grader for these settings.

    Args:
        settings: `url`, `rubric_id` and so on. Missing ones come from `PROMEDICAL_URL`, `PROMEDICAL_API_KEY`,
            `PROMEDICAL_CA_FILE`, and from `PROMEDICAL_CLIENT_` followed by `CERT_FILE`, `KEY_FILE`, `RUBRIC_ID`,
            `BASE_RUBRIC_ID`, `EXPECTED_FINGERPRINT`, `EXPECTED_RUBRICS` or `THOUGHTS`.
    """
    given = {name: os.environ[variable] for name, variable in _ENVIRONMENT.items() if os.environ.get(variable)}
    return _grader(frozenset((given | settings).items()))


@functools.cache
def _grader(settings: frozenset[tuple[str, str]]) -> Grader:
    return Grader(**dict(settings))  # type: ignore[arg-type]
