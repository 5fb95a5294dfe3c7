"""Requests made from the OpenAPI document, right and wrong ones, and whether the answers are those it promises."""

from collections import Counter

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

_OF_SHAPE = [status_code_conformance, content_type_conformance, response_schema_conformance]


def check_conformance(operation, count, *, judged):
    """Send up to `count` requests; how many were answered with each status. Fails on an answer that is not promised.

    `judged`: the service looks further than the document can say, as for ids used twice, and may refuse more.
    """
    statuses = Counter()

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(operation.as_strategy(), operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)))
    def conforms(case):
        response = case.call()
        statuses[response.status_code] += 1
        assert response.status_code != 500
        # A deadline of a millisecond may pass, whatever the rest of the request was: only the answer's shape counts.
        case.validate_response(response, checks=_OF_SHAPE if judged or response.status_code == 504 else None)

    conforms()
    return statuses
