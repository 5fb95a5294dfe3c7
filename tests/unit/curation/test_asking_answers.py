"""What is asked has one key, and what is answered is either of use or has a typed reason why not."""

import json

import pytest

import curating
from promedical_curation.asking.answers import Answer, check_answer, read_completion
from promedical_curation.asking.bodies import body_of, most_input_tokens
from promedical_curation.asking.failures import FinalError, RepairableError, RetriableError
from promedical_curation.asking.fetching import Line
from promedical_curation.asking.pace import Pace
from promedical_curation.asking.prices import price_of
from promedical_curation.asking.repairs import repaired

URL = "http://127.0.0.1:9/v1"
SCHEMA = {
    "type": "object",
    "properties": {"difficulty": {"type": "integer", "minimum": 0, "maximum": 10}},
    "required": ["difficulty"],
    "additionalProperties": False,
}
SECRET = "Mrs Miller has a rash"


def request(**changes):
    given: dict = {"prompt_version": "p@1", "max_tokens": 9, "schema": SCHEMA} | changes
    endpoint = curating.endpoint(given.pop("url", URL), **given.pop("endpoint", {}))
    message = {"role": "user", "content": str(given.pop("text", SECRET))}
    return endpoint.request(message, **given)


def answer(text: str, **changes) -> Answer:
    return Answer(**({"text": text, "finish": "stop", "model": "m", "input_tokens": 1, "output_tokens": 2} | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"text": "another"},
        {"prompt_version": "p@2"},
        {"max_tokens": 10},
        {"schema": None},
        {"sample": 1},
        {"temperature": 0.5},
        {"endpoint": {"model": "other"}},
    ],
    ids=str,
)
def test_key_changes_with_all_that_an_answer_depends_on(changes):
    assert request(**changes).key != request().key


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "http://elsewhere.example/v1"},
        {"endpoint": {"name": "other"}},
        {"endpoint": {"output": "none", "seed": True, "timeout_s": 1.0}},
        {"schema": dict(reversed(SCHEMA.items()))},
    ],
    ids=str,
)
def test_key_stays_where_the_same_model_moves(changes):
    assert request(**changes).key == request().key


def test_key_of_half_a_surrogate_pair_exists():
    assert len(request(text="\ud83d").key) == 64


def test_samples_of_one_question_have_seeds_of_their_own():
    endpoint = curating.endpoint(URL, seed=True)
    bodies = [body_of(endpoint, request(sample=number)) for number in (0, 0, 1)]
    assert bodies[0]["seed"] == bodies[1]["seed"] != bodies[2]["seed"]
    assert 0 <= bodies[0]["seed"] < 2**31


@pytest.mark.parametrize(
    ("output", "kind"), [("json_schema", "json_schema"), ("json_object", "json_object"), ("none", None)]
)
def test_schema_reaches_the_model_by_what_its_server_can_do(output, kind):
    body = body_of(curating.endpoint(URL, output=output), request())
    assert body.get("response_format", {}).get("type") == kind
    assert ("JSON schema" in body["messages"][-1]["content"]) == (output != "json_schema")


def test_prompt_has_no_more_tokens_than_its_bound():
    assert most_input_tokens(request(text="é" * 100)) > 200


@pytest.mark.parametrize(
    ("text", "changes", "kind", "word"),
    [
        ('{"difficulty": 3}', {"finish": "length"}, RepairableError, "cut_off"),
        ('{"difficulty": 3}', {"finish": "content_filter"}, FinalError, "content_filter"),
        ('{"difficulty": 3}', {"refusal": "no"}, FinalError, "refused"),
        ('{"difficulty": 3}', {"finish": "tool_calls"}, RepairableError, "broken_answer"),
        (" \n", {}, RepairableError, "empty"),
        (f"{SECRET}!", {}, RepairableError, "not_json"),
        ('{"difficulty": 3, "difficulty": 4}', {}, RepairableError, "not_json"),
        ('{"difficulty": NaN}', {}, RepairableError, "not_json"),
        ("[" * 5000, {}, RepairableError, "not_json"),
        ('{"difficulty": 11}', {}, RepairableError, "schema_invalid"),
        (json.dumps({"difficulty": SECRET}), {}, RepairableError, "schema_invalid"),
        (json.dumps({"difficulty": 1, SECRET: 2}), {}, RepairableError, "schema_invalid"),
        ("[]", {}, RepairableError, "schema_invalid"),
    ],
    ids=lambda value: None if isinstance(value, str) and len(value) > 30 else str(value)[:30],
)
def test_answer_that_is_of_no_use_has_a_typed_reason_without_its_text(text, changes, kind, word):
    with pytest.raises(kind) as caught:
        check_answer(request(), answer(text, **changes))
    assert caught.value.word == word
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("finish", ["stop", "eos", "end_turn"])
def test_end_of_an_answer_has_several_names(finish):
    check_answer(request(), answer('{"difficulty": 3}', finish=finish))


@pytest.mark.parametrize(
    "text",
    [
        '<think>{"a": 1}</think>\n{"difficulty": 3}',
        '{"difficulty": 3}',
        '```json\n{"difficulty": 3}\n```',
        ' ```\n{"difficulty": 3}```',
    ],
)
def test_answer_in_a_fence_is_read(text):
    check_answer(request(), answer(text))
    assert answer(text).value == {"difficulty": 3}


@pytest.mark.parametrize(
    "body",
    [
        "text",
        None,
        [],
        {},
        {"choices": []},
        {"choices": [{}]},
        {"choices": [{"message": {"content": 3}}]},
        {"choices": 1},
    ],
    ids=str,
)
def test_body_that_is_no_completion_is_a_broken_answer(body):
    with pytest.raises(RetriableError) as caught:
        read_completion(body)
    assert caught.value.word == "broken_answer"


def test_completion_is_read_with_what_the_server_knows():
    message = {"content": "yes\ud83d", "reasoning_content": "thought"}
    body = {"model": "m-2", "choices": [{"message": message, "finish_reason": "stop", "logprobs": {"content": []}}]}
    read = read_completion(
        body | {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}, reasoning_field="reasoning_content"
    )
    assert (read.text, read.reasoning, read.model, read.input_tokens, read.output_tokens) == (
        "yes\ufffd",
        "thought",
        "m-2",
        3,
        4,
    )
    assert read.logprobs == {"content": []}


def test_repair_is_a_request_of_its_own_for_every_turn():
    problem = RepairableError("not_json", "m", advice="Answer with JSON.")
    first, bad = request(), answer("x" * 9000)
    one, two = (repaired(first, bad, problem, turn) for turn in (1, 2))
    assert len({first.key, one.key, two.key}) == 3
    assert [message["role"] for message in one.messages] == ["user", "assistant", "user"]
    assert len(one.messages[1]["content"]) == 2000


def test_price_comes_from_the_file_then_from_the_list_by_address_and_never_by_name_alone():
    listed = {"model": "gpt-4o-mini", "prices": None}
    own, provider = price_of(curating.endpoint(URL)), price_of(curating.endpoint("https://api.openai.com/v1", **listed))
    assert own is not None
    assert own(1_000_000, 1_000_000) == 3.0
    assert provider is not None
    assert provider(1_000_000, 0) == 0.15
    assert price_of(curating.endpoint(URL, **listed)) is None


def test_answer_of_a_server_that_counts_no_tokens_costs_the_most_that_it_can_have():
    line = Line(curating.endpoint(URL), Pace(1))
    asked = request()
    assert line.priced(asked, answer("yes", input_tokens=1_000_000, output_tokens=0)).cost == 1.0
    assert line.priced(asked, answer("yes", input_tokens=0, output_tokens=0)).cost == line.most_cost(asked) > 0
