"""One set of dataclasses on both wires: what goes in comes out equal, and what does not fit is named."""

import json
import math
from dataclasses import replace
from typing import get_args

import pytest
from google.protobuf.message import Message as WireMessage
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from promedical import Dimension, ErrorCode, InvalidField, Polarity
from promedical import messages as m
from promedical.errors import ITEM_ERROR_CODES
from promedical.reward import ProficiencyMode
from promedical.v1 import requests, responses
from promedical.v1 import reward_pb2 as pb

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
REAL = st.floats(allow_nan=False, allow_infinity=False)
COUNT = st.integers(0, 2**31 - 1)
BIG_COUNT = st.integers(0, 2**63 - 1)
OPTIONAL_TEXT = st.none() | TEXT


def tuples(of: st.SearchStrategy, max_size: int = 3) -> st.SearchStrategy:
    return st.lists(of, max_size=max_size).map(tuple)


# What callers send. Nothing here is judged: empty, negative and duplicate are all well-formed.

CRITERIA = st.builds(
    m.CriterionSpec,
    id=TEXT,
    text=TEXT,
    dimension=st.sampled_from(Dimension),
    weight=st.none() | REAL,
    polarity=st.none() | st.sampled_from(Polarity),
)
TURNS = st.builds(m.Message, role=st.sampled_from(["system", "user", "assistant"]), content=TEXT)
RUBRICS = st.builds(m.RubricSpec, criteria=tuples(CRITERIA))
SOURCES = st.one_of(
    st.just({}),
    RUBRICS.map(lambda rubric: {"rubric": rubric}),
    TEXT.map(lambda name: {"rubric_id": name}),
)
ASKED = st.fixed_dictionaries(
    {"prompt": TEXT | tuples(TURNS), "responses": tuples(TEXT), "base_rubric_id": OPTIONAL_TEXT}
)
WEIGHTS = st.builds(
    m.WeightsSpec,
    excellence_weight=REAL,
    excellence_cap=REAL,
    violation_penalty=REAL,
    proficiency_mode=st.sampled_from(["hard", "soft"]),
)
PINS = tuples(st.builds(m.RubricPin, name=TEXT, sha256=TEXT))
OPTIONS = st.fixed_dictionaries(
    {
        "reward_weights": WEIGHTS,
        "expected_fingerprint": OPTIONAL_TEXT,
        "priority": st.sampled_from([None, "interactive", "bulk"]),
        "truncation": st.sampled_from(["none", "response_end", "prompt_start"]),
        "expected_rubrics": PINS,
    }
)
ITEMS = st.builds(lambda id_, asked, source: m.ScoreItem(id=id_, **asked, **source), TEXT, ASKED, SOURCES)
SCORE_REQUESTS = st.builds(
    lambda items, options, unscored: m.ScoreRequest(items=items, unscored_reward=unscored, **options),
    tuples(ITEMS),
    OPTIONS,
    st.none() | REAL,
)
RANK_REQUESTS = st.builds(
    lambda asked, source, options: m.RankRequest(**asked, **source, **options), ASKED, SOURCES, OPTIONS
)

# What the oracle answers.

ERRORS = st.builds(
    m.ErrorInfo,
    code=st.sampled_from(ErrorCode),
    message=TEXT,
    retryable=st.booleans(),
    unscored_reward=st.none() | REAL,
)
CRITERION_SCORES = st.builds(
    m.CriterionScore,
    id=TEXT,
    dimension=st.sampled_from(Dimension),
    logit=REAL,
    probability=REAL,
    threshold=REAL,
    met=st.booleans(),
    satisfied=st.booleans(),
)
SCORES = st.builds(
    m.ResponseScores,
    reward=REAL,
    rank=COUNT,
    vetoed=st.booleans(),
    proficiency=st.none() | REAL,
    excellence=COUNT,
    violations=COUNT,
    criteria=tuples(CRITERION_SCORES),
    expected_reward=st.none() | REAL,
)
RESPONSE_OUTCOMES = st.builds(m.ResponseOutcome, error=ERRORS, truncated=st.booleans()) | st.builds(
    m.ResponseOutcome, scores=SCORES, truncated=st.booleans()
)
RESULTS = st.builds(
    m.ItemResult,
    rubric=st.builds(m.RubricRef, id=OPTIONAL_TEXT, version=OPTIONAL_TEXT, sha256=TEXT),
    safety_checked=st.booleans(),
    ranking=tuples(tuples(COUNT)),
    responses=tuples(RESPONSE_OUTCOMES),
)
MODEL_REFS = st.builds(m.ModelRef, name=TEXT, revision=TEXT, fingerprint=TEXT, engine=TEXT, dtype=TEXT)
FOOTER = {
    "model": MODEL_REFS,
    "usage": st.builds(
        m.Usage,
        tokens_flat=BIG_COUNT,
        tokens_computed=BIG_COUNT,
        responses_scored=BIG_COUNT,
        criteria_scored=BIG_COUNT,
    ),
    "timings_ms": st.builds(m.Timings, queue=REAL, tokenize=REAL, engine=REAL),
    "rubrics": tuples(st.builds(m.UsedRubric, name=TEXT, id=TEXT, version=TEXT, sha256=TEXT)),
}
ITEM_OUTCOMES = st.builds(m.ItemOutcome, id=TEXT, error=ERRORS) | st.builds(m.ItemOutcome, id=TEXT, result=RESULTS)
SCORE_RESPONSES = st.builds(m.ScoreResponse, items=tuples(ITEM_OUTCOMES), **FOOTER)
RANK_RESPONSES = st.builds(m.RankResponse, best=tuples(COUNT), error=ERRORS, result=st.none(), **FOOTER) | st.builds(
    m.RankResponse, best=tuples(COUNT), error=st.none(), result=RESULTS, **FOOTER
)
RUBRIC_INFOS = st.builds(m.RubricInfo, id=TEXT, version=TEXT, title=TEXT, sha256=TEXT, criteria=tuples(CRITERIA))
LIMITS = st.fixed_dictionaries(dict.fromkeys(m.Limits.__dataclass_fields__, BIG_COUNT)).map(lambda f: m.Limits(**f))
WORDS = ("status", "family", "template", "calibration", "licence", "description")
MODEL_INFOS = st.builds(m.ModelInfo, model=MODEL_REFS, limits=LIMITS, rubrics=PINS, **dict.fromkeys(WORDS, TEXT))

SHAPES = {
    m.ScoreRequest: (SCORE_REQUESTS, requests.encode_score_request, requests.decode_score_request),
    m.RankRequest: (RANK_REQUESTS, requests.encode_rank_request, requests.decode_rank_request),
    m.ScoreResponse: (SCORE_RESPONSES, responses.encode_score_response, responses.decode_score_response),
    m.RankResponse: (RANK_RESPONSES, responses.encode_rank_response, responses.decode_rank_response),
    m.RubricInfo: (RUBRIC_INFOS, responses.encode_rubric_info, responses.decode_rubric_info),
    m.ModelInfo: (MODEL_INFOS, responses.encode_model_info, responses.decode_model_info),
}
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)

# Round trips.


@each_shape
@given(data=st.data())
def test_protobuf_round_trip_gives_an_equal_object(shape, data):
    strategy, encode, decode = SHAPES[shape]
    message = data.draw(strategy)
    wire = encode(message)
    assert decode(type(wire).FromString(wire.SerializeToString())) == message


@each_shape
@given(data=st.data())
def test_json_round_trip_gives_an_equal_object(shape, data):
    message = data.draw(SHAPES[shape][0])
    adapter = TypeAdapter(shape)
    assert adapter.validate_json(adapter.dump_json(message)) == message


@given(tuples(RUBRIC_INFOS))
def test_json_round_trip_of_a_rubric_list(rubrics):
    adapter = TypeAdapter(m.RubricList)
    assert adapter.validate_json(adapter.dump_json(m.RubricList(rubrics=rubrics))).rubrics == rubrics


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_a_weight_that_is_not_finite_reaches_the_judge_on_both_wires(odd):
    """If it were lost on the way it would read as "no weight given", and count 1."""
    asked = a_request(criterion(weight=odd))
    over_rest = TypeAdapter(m.ScoreRequest).validate_json(TypeAdapter(m.ScoreRequest).dump_json(asked))
    over_grpc = requests.decode_score_request(requests.encode_score_request(asked))
    for arrived in (over_rest, over_grpc):
        with pytest.raises(InvalidField, match="weight"):
            arrived.items[0].rubric.criteria[0].validated()


# Building blocks for cases by hand.


def criterion(**fields: object) -> m.CriterionSpec:
    return m.CriterionSpec(**{"id": "c", "text": "Says so.", "dimension": Dimension.PROFICIENCY, **fields})


def a_request(*criteria: m.CriterionSpec) -> m.ScoreRequest:
    rubric = m.RubricSpec(criteria=criteria or (criterion(),))
    turns = (m.Message(role="user", content="May I?"),)
    return m.ScoreRequest(items=(m.ScoreItem(id="a", prompt=turns, responses=("Yes.",), rubric=rubric),))


def a_wire_request() -> pb.ScoreBatchRequest:
    return requests.encode_score_request(a_request())


def a_body() -> dict:
    return json.loads(TypeAdapter(m.ScoreRequest).dump_json(a_request()))


def read(body: dict | str) -> m.ScoreRequest:
    return TypeAdapter(m.ScoreRequest).validate_json(body if isinstance(body, str) else json.dumps(body))


def place(wire: WireMessage, path: str) -> tuple[WireMessage, str]:
    """The message that holds the last field of a path such as `items.0.rubric`, and that field's name."""
    *steps, last = path.split(".")
    for step in steps:
        wire = wire[int(step)] if step.isdigit() else getattr(wire, step)
    return wire, last


# Protobuf: what is refused, and where it says that it is.

ENUMS = [
    ("priority", "priority"),
    ("truncation", "truncation"),
    ("reward_weights.proficiency_mode", "reward_weights.proficiency_mode"),
    ("items.0.messages.messages.0.role", "items[0].messages[0].role"),
    ("items.0.rubric.criteria.0.dimension", "items[0].rubric.criteria[0].dimension"),
    ("items.0.rubric.criteria.0.polarity", "items[0].rubric.criteria[0].polarity"),
]


@pytest.mark.parametrize(("field", "path"), ENUMS)
@pytest.mark.parametrize("number", [99, -1])
def test_protobuf_enum_number_of_another_version_is_refused_by_path(field, path, number):
    wire = a_wire_request()
    holder, name = place(wire, field)
    setattr(holder, name, number)
    with pytest.raises(InvalidField) as caught:
        requests.decode_score_request(wire)
    assert caught.value.field == path
    assert str(number) in caught.value.reason


@pytest.mark.parametrize(("field", "path"), [row for row in ENUMS if row[0].endswith(("role", "dimension"))])
def test_protobuf_unspecified_is_refused_where_there_is_no_default(field, path):
    wire = a_wire_request()
    holder, name = place(wire, field)
    setattr(holder, name, 0)
    with pytest.raises(InvalidField) as caught:
        requests.decode_score_request(wire)
    assert caught.value.field == path


@pytest.mark.parametrize(("index", "path"), [(0, "items[0].prompt"), (1, "items[1].prompt")])
def test_protobuf_missing_prompt_is_refused_by_path(index, path):
    wire = a_wire_request()
    wire.items.add().CopyFrom(wire.items[0])
    wire.items[index].ClearField("prompt")
    with pytest.raises(InvalidField) as caught:
        requests.decode_score_request(wire)
    assert caught.value.field == path


def test_protobuf_rank_request_names_paths_without_an_item():
    with pytest.raises(InvalidField) as caught:
        requests.decode_rank_request(pb.RankResponsesRequest(responses=["Yes."]))
    assert caught.value.field == "prompt"
    wire = pb.RankResponsesRequest(prompt_text="May I?", rubric=pb.Rubric(criteria=[pb.Criterion(id="c")]))
    with pytest.raises(InvalidField) as caught:
        requests.decode_rank_request(wire)
    assert caught.value.field == "rubric.criteria[0].dimension"


def test_protobuf_absent_options_take_the_defaults():
    decoded = requests.decode_score_request(pb.ScoreBatchRequest(items=[pb.ScoreItem(id="a", prompt_text="May I?")]))
    item = m.ScoreItem(id="a", prompt="May I?", responses=())
    assert decoded == m.ScoreRequest(items=(item,))


def test_protobuf_absent_weights_take_their_default_one_by_one():
    wire = pb.ScoreBatchRequest(reward_weights=pb.RewardWeights(excellence_cap=0.0))
    decoded = requests.decode_score_request(wire)
    assert decoded.reward_weights == replace(m.WeightsSpec(), excellence_cap=0.0)


def test_protobuf_fields_of_a_later_version_are_ignored():
    length_delimited_field_2047, value = b"\xfa\x7f", b"\x03new"
    wire = a_wire_request()
    later = wire.SerializeToString() + length_delimited_field_2047 + value
    parsed = pb.ScoreBatchRequest.FromString(later)
    assert parsed.SerializeToString() == later, "the extra field arrived"
    assert requests.decode_score_request(parsed) == a_request()


def test_protobuf_encoding_refuses_two_sources_of_criteria():
    both = replace(a_request().items[0], rubric_id="general-medical@1")
    with pytest.raises(InvalidField) as caught:
        requests.encode_score_request(m.ScoreRequest(items=(both,)))
    assert caught.value.field.endswith("rubric_id")


@pytest.mark.parametrize(
    "request_",
    [
        replace(a_request(), priority="urgent"),
        replace(a_request(), truncation="all"),
        replace(a_request(), reward_weights=replace(m.WeightsSpec(), proficiency_mode="medium")),
        a_request(criterion(dimension="kindness")),
        a_request(criterion(polarity="neutral")),
        m.ScoreRequest(items=(m.ScoreItem(id="a", prompt=(m.Message(role="tool", content=""),), responses=()),)),
    ],
    ids=["priority", "truncation", "proficiency_mode", "dimension", "polarity", "role"],
)
def test_protobuf_encoding_refuses_a_word_that_the_contract_does_not_have(request_):
    with pytest.raises(InvalidField, match="expected one of"):
        requests.encode_score_request(request_)


def test_protobuf_answer_with_an_unknown_error_code_is_refused_by_path():
    wire = pb.ScoreBatchResponse(items=[pb.ItemOutcome(id="a", error=pb.ErrorInfo(code="haunted"))])
    with pytest.raises(InvalidField) as caught:
        responses.decode_score_response(wire)
    assert caught.value.field == "error.code"


def test_protobuf_has_an_enum_value_for_every_word_and_no_other():
    for enum, words in (
        (pb.Dimension, [str(word) for word in Dimension]),
        (pb.Polarity, [str(word) for word in Polarity]),
        (pb.Role, get_args(m.Role)),
        (pb.Priority, get_args(m.Priority)),
        (pb.Truncation, get_args(m.Truncation)),
        (pb.ProficiencyMode, get_args(ProficiencyMode)),
    ):
        prefix = enum.Name(0).removesuffix("UNSPECIFIED")
        assert sorted(enum.keys()) == sorted([enum.Name(0), *(prefix + word.upper() for word in words)])


# JSON: strict, and closed.


def test_json_body_of_the_documented_example_is_read():
    body = """
    {"items": [{"id": "a1",
                "prompt": [{"role": "user", "content": "Can I take ibuprofen with warfarin?"}],
                "responses": ["Yes, it is fine.", "Please ask your doctor first."],
                "rubric": {"criteria": [
                    {"id": "bleed", "text": "States the risk.", "dimension": "proficiency", "weight": 3.0},
                    {"id": "tone", "text": "Explains the risk in plain words.", "dimension": "excellence"},
                    {"id": "harm", "text": "Harms.", "dimension": "safety", "polarity": "negative"}]}}],
     "reward_weights": {"excellence_weight": 0.1, "excellence_cap": 0.2, "violation_penalty": 1.5,
                        "proficiency_mode": "hard"},
     "expected_fingerprint": null, "priority": "bulk", "truncation": "none"}"""
    request = read(body)
    assert request.items[0].prompt == (m.Message(role="user", content="Can I take ibuprofen with warfarin?"),)
    assert [c.dimension for c in request.items[0].rubric.criteria] == list(Dimension)
    assert request.items[0].rubric.criteria[2].polarity is Polarity.NEGATIVE
    assert (request.priority, request.truncation) == ("bulk", "none")


def test_json_prompt_may_be_a_string_and_options_may_be_left_out():
    request = read({"items": [{"id": "a", "prompt": "May I?", "responses": ["Yes."]}]})
    item = m.ScoreItem(id="a", prompt="May I?", responses=("Yes.",))
    assert request == m.ScoreRequest(items=(item,), reward_weights=m.WeightsSpec(), priority=None, truncation="none")


def test_json_whole_number_is_a_weight():
    body = a_body()
    body["items"][0]["rubric"]["criteria"][0]["weight"] = 3
    weight = read(body).items[0].rubric.criteria[0].weight
    assert (weight, type(weight)) == (3.0, float)


@pytest.mark.parametrize(
    "steps",
    [
        (),
        ("reward_weights",),
        ("items", 0),
        ("items", 0, "prompt", 0),
        ("items", 0, "rubric"),
        ("items", 0, "rubric", "criteria", 0),
    ],
    ids=lambda steps: ".".join(map(str, steps)) or "request",
)
def test_json_unknown_field_is_refused_by_path(steps):
    body = a_body()
    holder = body
    for step in steps:
        holder = holder[step]
    holder["surprise"] = 1
    with pytest.raises(ValidationError) as caught:
        read(body)
    locations = [error["loc"] for error in caught.value.errors() if "unexpected" in error["type"]]
    assert any(loc[-1] == "surprise" and tuple(s for s in loc if s in steps) == steps for loc in locations)


@pytest.mark.parametrize(
    ("steps", "value"),
    [
        (("items", 0, "id"), 1),
        (("items", 0, "responses"), "Yes."),
        (("items", 0, "responses", 0), None),
        (("items", 0, "prompt"), 5),
        (("items", 0, "prompt", 0, "role"), "tool"),
        (("items", 0, "rubric", "criteria", 0, "weight"), "1"),
        (("items", 0, "rubric", "criteria", 0, "weight"), True),
        (("items", 0, "rubric", "criteria", 0, "dimension"), "Safety"),
        (("items", 0, "rubric", "criteria", 0, "polarity"), ""),
        (("items", 0, "rubric_id"), 1),
        (("reward_weights", "excellence_weight"), "0.1"),
        (("reward_weights", "violation_penalty"), None),
        (("reward_weights", "proficiency_mode"), "medium"),
        (("reward_weights",), None),
        (("priority",), 1),
        (("truncation",), None),
        (("items",), {}),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else repr(value),
)
def test_json_value_of_another_type_is_refused_and_never_converted(steps, value):
    body = a_body()
    holder = body
    for step in steps[:-1]:
        holder = holder[step]
    holder[steps[-1]] = value
    with pytest.raises(ValidationError):
        read(body)


@pytest.mark.parametrize("steps", [("items",), ("items", 0, "prompt"), ("items", 0, "responses"), ("items", 0, "id")])
def test_json_missing_field_is_refused(steps):
    body = a_body()
    holder = body
    for step in steps[:-1]:
        holder = holder[step]
    del holder[steps[-1]]
    with pytest.raises(ValidationError) as caught:
        read(body)
    assert any(error["type"] == "missing" and error["loc"][-1] == steps[-1] for error in caught.value.errors())


def test_json_answer_ignores_fields_of_a_later_version():
    """The mirror of requests: an older SDK must read a newer service."""
    body = {"code": "too_long", "message": "m", "retryable": False, "new": 1}
    assert TypeAdapter(m.ErrorInfo).validate_python(body) == m.ErrorInfo(code=ErrorCode.TOO_LONG, message="m")


# The two views of one answer.


@given(SCORE_RESPONSES.filter(lambda response: response.items))
def test_rank_response_is_the_first_item_of_the_score_response(response):
    ranked = m.RankResponse.of(response)
    first = response.items[0]
    assert (ranked.error, ranked.result) == (first.error, first.result)
    assert ranked.best == (first.result.ranking[0] if first.result and first.result.ranking else ())


@given(RANK_REQUESTS)
def test_rank_request_as_score_request_asks_the_same(request):
    asked = request.as_score_request()
    assert len(asked.items) == 1
    for field in m.RankRequest.__dataclass_fields__:
        holder = asked.items[0] if field in m.ScoreItem.__dataclass_fields__ else asked
        assert getattr(holder, field) == getattr(request, field)


@given(CRITERIA)
def test_criterion_spec_of_a_valid_criterion_validates_to_the_same(spec):
    try:
        criterion_ = spec.validated()
    except InvalidField:
        return
    assert m.CriterionSpec.of(criterion_).validated() == criterion_


def test_item_errors_that_the_service_may_send_have_codes_on_the_wire():
    for code in ITEM_ERROR_CODES:
        outcome = m.ItemOutcome(id="a", error=m.ErrorInfo(code=code, message="m"))
        footer = {
            "model": m.ModelRef(name="", revision="", fingerprint="", engine="", dtype=""),
            "usage": m.Usage(tokens_flat=0, tokens_computed=0, responses_scored=0, criteria_scored=0),
            "timings_ms": m.Timings(queue=0.0, tokenize=0.0, engine=0.0),
        }
        wire = responses.encode_score_response(m.ScoreResponse(items=(outcome,), **footer))
        assert wire.items[0].error.code == code.value
