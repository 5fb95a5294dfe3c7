"""What is wrong with nested data is said once, at its place, in words that help."""

import json

import pytest
from pydantic import TypeAdapter, ValidationError

from promedical import messages as m
from promedical_data.faults import first_fault

GOOD = {"id": "a", "prompt": "q", "responses": ["r"]}
CRITERION = {"id": "c", "text": "Is correct.", "dimension": "safety"}


def with_criterion(**fields):
    return {**GOOD, "rubric": {"criteria": [CRITERION, {**CRITERION, **fields}]}}


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({**GOOD, "prompt": ["hi"]}, "prompt[0]: expected an object"),
        ({**GOOD, "prompt": 5}, "prompt: expected a string or a list of Message"),
        ({**GOOD, "prompt": [{"role": "human", "content": ""}]}, "prompt[0].role: expected 'system', 'user' or"),
        ({**GOOD, "prompt": [{"role": "user"}]}, "prompt[0].content: is missing"),
        ({"id": "a", "prompts": "q", "responses": []}, "prompts: is unknown; did you mean prompt?"),
        ({"id": "a", "prompt": "q", "response": "r"}, "response: is unknown; did you mean responses?"),
        (with_criterion(wieght=1), "rubric.criteria[1].wieght: is unknown; did you mean weight?"),
        ({**GOOD, "criteria": []}, "criteria: is unknown here; it belongs to rubric"),
        ({**GOOD, "weight": 1}, "weight: is unknown; expected one of id, prompt, responses, rubric"),
        (with_criterion(dimension="odd"), "rubric.criteria[1].dimension: expected 'proficiency', 'excellence' or"),
        (with_criterion(weight="3"), "rubric.criteria[1].weight: expected a number"),
        ({**GOOD, "rubric": []}, "rubric: expected an object"),
        ({"id": "a", "zzz": 1}, "prompt: is missing"),
        (5, "expected an object"),
    ],
    ids=lambda value: value.partition(":")[0] if isinstance(value, str) else None,
)
def test_first_fault_names_the_place_and_what_fits_there(raw, said):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(m.ScoreItem).validate_json(json.dumps(raw))
    found = first_fault(caught.value, m.ScoreItem)
    assert found.startswith(said), found
