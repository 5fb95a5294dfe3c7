"""Each drop-in's reading and writing, on request shapes recorded from the software that sends them."""

import asyncio
import json

import pytest

from promedical import messages as m
from promedical.errors import ErrorCode
from promedical.rubric import Dimension, InvalidField, Polarity
from promedical_service.edges.dropins.catalog import DROP_INS, read_request
from promedical_service.edges.dropins.endpoint import DropInEndpoint
from promedical_service.edges.dropins.format import Receipt, Scored
from promedical_service.edges.dropins.scorer import ExchangeScorer
from promedical_service.errors import ServiceError
from promedical_service.limits import CountLimits

MODEL = m.ModelRef(name="oracle", revision="r", fingerprint="f1", engine="fake", dtype="none")
LIMITS = CountLimits(max_items=5, max_responses_per_item=4, max_criteria_per_item=9)
RECEIPT = Receipt(request_id="id1", created=7)
CHATML = "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n{}<|im_end|>\n"
WHY = (m.Message(role="user", content="Why?"),)
CRITERION = {"id": "c", "text": "Says why.", "dimension": "proficiency"}
SPEC = m.RubricSpec(
    criteria=(
        m.CriterionSpec(
            id="c", text="Says why.", dimension=Dimension.PROFICIENCY, polarity=Polarity.POSITIVE, weight=None
        ),
    )
)


def scores(reward, violations=0, expected=None):
    return m.ResponseScores(
        reward=reward,
        rank=1,
        vetoed=violations > 0,
        proficiency=0.5,
        excellence=1,
        violations=violations,
        criteria=(),
        expected_reward=expected,
    )


def read(path, body, query=()):
    drop_in = next(drop_in for drop_in in DROP_INS if path in drop_in.paths)
    asked = read_request(drop_in, json.dumps(body).encode(), query, LIMITS)
    return drop_in, asked, drop_in.exchanges(asked.body)


def pairs(path, body):
    return [(row.turns, row.response) for row in read(path, body)[2]]


def answer(path, body, *responses, query=()):
    drop_in, asked, rows = read(path, body, query)
    assert len(rows) == len(responses)
    return drop_in.encode(asked, Scored(responses=responses, model=MODEL, tokens=10), RECEIPT)


# OpenRLHF 0.11.2, openrlhf/utils/agent.py: SingleTurnAgentExecutor._fetch_rewards_via_http

OPENRLHF = {
    "query": [CHATML.format("Because."), "Why?So."],
    "prompts": ["<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n", "Why?"],
    "labels": [json.dumps([CRITERION]), None],
}


def test_get_reward_takes_the_prompt_from_the_query_and_criteria_from_the_label():
    rows = read("/get_reward", OPENRLHF)[2]
    assert [(row.turns, row.response, row.rubric) for row in rows] == [(WHY, "Because.", SPEC), (WHY, "So.", None)]
    assert [row.place for row in rows] == ["query[0]", "query[1]"]


def test_get_reward_answers_lists_with_scores_from_0_to_1():
    told = answer("/get_reward", OPENRLHF, scores(1.2), scores(-0.9, violations=1))
    assert told.rewards == (1.2, -0.9)
    assert told.scores == (1.0, 0.0)
    assert told.extra_logs == {
        "scored": (1.0, 1.0),
        "proficiency": (0.5, 0.5),
        "excellence": (1.0, 1.0),
        "violations": (0.0, 1.0),
        "vetoed": (0.0, 1.0),
    }


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"prompts": ["Why?"]}, "prompts"),
        ({"labels": []}, "labels"),
        ({"query": ["Because.", "Why?So."]}, "query[0]"),
        ({"labels": [None, "The answer is B."]}, "labels[1]"),
    ],
)
def test_get_reward_names_what_does_not_fit(changes, field):
    with pytest.raises(InvalidField) as caught:
        read("/get_reward", OPENRLHF | changes)
    assert caught.value.field == field


# slime 0b420f1e, slime/rollout/rm_hub/__init__.py: remote_rm

SLIME = {"prompt": "Why?", "response": "Because.<|im_end|>", "label": "house@2"}


@pytest.mark.parametrize("prompt", ["Why?", CHATML.split("{", maxsplit=1)[0], [{"role": "user", "content": "Why?"}]])
def test_rm_takes_prompts_as_text_markup_and_messages(prompt):
    (row,) = read("/rm", SLIME | {"prompt": prompt})[2]
    assert (row.turns, row.response, row.rubric) == (WHY, "Because.", "house@2")


def test_rm_answers_a_number_or_an_object_as_the_url_says():
    assert answer("/rm", SLIME, scores(0.75)) == 0.75
    told = answer("/rm", SLIME, scores(0.6, expected=0.4), query=[("answer", "object")])
    assert (told.reward, told.score, told.vetoed, told.fingerprint) == (0.6, pytest.approx(0.5), False, "f1")
    assert told.expected_reward == 0.4


# verl 0.9.1, verl/experimental/reward_loop/reward_loop.py: RewardLoopWorker.compute_score_disrm

VERL = {"model": "some/path", "input": CHATML.format("Because."), "use_activation": False}


def test_classify_splits_the_text_and_answers_as_verl_reads_it():
    assert pairs("/classify", VERL) == [(WHY, "Because.")]
    told = answer("/classify", VERL, scores(-1.5, violations=1))
    assert told.data[-1].probs[-1] == -1.5
    assert (told.data[0].index, told.data[0].num_classes, told.model) == (0, 1, "oracle")


@pytest.mark.parametrize("activation", [None, True])
def test_classify_activates_unless_told_not_to(activation):
    told = answer("/classify", VERL | {"use_activation": activation}, scores(0.0))
    assert told.data[0].probs == (0.5,)


def test_classify_takes_lists_and_conversations():
    assert pairs("/classify", {"input": [CHATML.format("A."), CHATML.format("B.")]}) == [(WHY, "A."), (WHY, "B.")]
    chat = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "A."}]
    assert pairs("/classify", {"messages": chat}) == [(WHY, "A.")]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "input"),
        ({"input": "plain text"}, "input"),
        ({"input": [CHATML.format("A."), "plain text"]}, "input[1]"),
        ({"messages": [{"role": "user", "content": "Why?"}]}, "messages"),
        (VERL | {"rubric": "{}", "rubric_id": "x"}, "rubric_id"),
    ],
)
def test_classify_names_what_does_not_fit(body, field):
    with pytest.raises(InvalidField) as caught:
        read("/classify", body)
    assert caught.value.field == field


# NeMo-Gym 011c3386, nemo_gym/base_resources_server.py: BaseVerifyRequest, BaseMultiRewardVerifyResponse

NEMO = {
    "responses_create_params": {
        "input": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "Why?", "type": "message"},
        ],
        "temperature": 1.0,
    },
    "response": {
        "id": "resp_1",
        "created_at": 1.5,
        "error": None,
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "Because.", "annotations": []}],
            },
        ],
        "tool_choice": "auto",
    },
    "rubric": {"criteria": [CRITERION]},
    "task_index": 12345678901234567890,
}


def test_verify_judges_the_message_and_not_the_reasoning():
    (row,) = read("/verify", NEMO)[2]
    assert row.turns == (m.Message(role="system", content="Be brief."), *WHY)
    assert (row.response, row.rubric) == ("Because.", SPEC)


def test_verify_echoes_the_request_and_its_components_add_up():
    told = answer("/verify", NEMO, scores(-2.2, violations=2))
    assert {name: told[name] for name in NEMO} == NEMO
    assert sum(told["reward_components"].values()) == pytest.approx(told["reward"])
    assert told["reward_components"] == {"quality": pytest.approx(0.8), "safety": -3.0}
    assert (told["quality"], told["safety"]) == tuple(told["reward_components"].values())


def test_verify_takes_text_and_instructions():
    asked = {"input": "Why?", "instructions": "Be brief."}
    (row,) = read("/verify", NEMO | {"responses_create_params": asked})[2]
    assert [turn.role for turn in row.turns] == ["system", "user"]


# cohere 7.3.1, cohere/v2/raw_client.py and cohere/raw_base_client.py: rerank; vLLM 0.32.0,
# vllm/entrypoints/pooling/scoring/protocol.py: RerankRequest; Jina's, as LocalAI's core/schema/jina.go has it

RERANK = {"model": "x", "query": "Why?", "documents": ["A.", {"text": "B."}, "C."], "top_n": 2}


def test_rerank_orders_by_reward_and_keeps_the_order_of_ties():
    told = answer("/v2/rerank", RERANK, scores(0.1), scores(0.9), scores(0.1))
    assert [(result.index, result.document.text) for result in told.results] == [(1, "B."), (0, "A.")]
    assert told.results[0].relevance_score == pytest.approx(0.7109495)
    assert (told.id, told.model, told.usage.total_tokens) == ("rerank-id1", "oracle", 10)


def test_rerank_breaks_ties_of_the_reward_by_the_expected_reward():
    body = {"query": "Why?", "documents": ["A.", "B.", "C."]}
    told = answer("/rerank", body, scores(0.5, expected=0.2), scores(0.5, expected=0.4), scores(1.0, expected=0.1))
    assert [result.index for result in told.results] == [2, 1, 0]


def test_rerank_leaves_documents_out_when_asked_to():
    told = answer("/rerank", RERANK | {"return_documents": False, "top_n": 0}, *[scores(0.0)] * 3)
    assert [(result.index, result.document) for result in told.results] == [(0, None), (1, None), (2, None)]


# text-embeddings-inference 265deb2a, router/src/http/types.rs: RerankRequest and PredictRequest


def test_rerank_answers_clients_of_tei_in_their_shape():
    body = {"query": "Why?", "texts": ["A.", "B."], "raw_scores": True, "return_text": True}
    told = answer("/rerank", body, scores(-1.5, violations=1), scores(0.9))
    assert [(rank.index, rank.score, rank.text) for rank in told] == [(1, 0.9, "B."), (0, -1.5, "A.")]


@pytest.mark.parametrize("body", [{"query": "q"}, {"query": "q", "texts": [], "documents": []}])
def test_rerank_wants_documents_or_texts(body):
    with pytest.raises(InvalidField, match="documents or texts"):
        read("/rerank", body)


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (CHATML.format("A."), [(WHY, "A.")]),
        (["Why?", "A."], [(WHY, "A.")]),
        ([["Why?", "A."], [CHATML.format("B.")]], [(WHY, "A."), (WHY, "B.")]),
        ([], []),
    ],
)
def test_predict_takes_texts_pairs_and_batches(inputs, expected):
    assert pairs("/predict", {"inputs": inputs}) == expected


def test_predict_answers_one_prediction_or_a_batch():
    (one,) = answer("/predict", {"inputs": ["Why?", "A."], "raw_scores": True}, scores(0.3))
    assert (one.score, one.label) == (0.3, "reward")
    ((first,), (second,)) = answer("/predict", {"inputs": [["Why?", "A."], ["Why?", "B."]]}, scores(0.0), scores(9.0))
    assert (first.score, round(second.score, 3)) == (0.5, 1.0)


@pytest.mark.parametrize("inputs", ["plain", ["a", "b", "c"], [["a", "b", "c"]], [["Why?", "A."], "b"]])
def test_predict_refuses_what_is_neither_pair_nor_markup(inputs):
    with pytest.raises(InvalidField):
        read("/predict", {"inputs": inputs})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "none"),
        ({"truncate": True}, "response_end"),
        ({"truncate": True, "truncation_direction": "Left"}, "prompt_start"),
    ],
)
def test_predict_cuts_only_when_asked_to(changes, expected):
    drop_in, asked, _ = read("/predict", {"inputs": ["Why?", "A."]} | changes)
    assert drop_in.truncation(asked.body) == expected


# All of them


@pytest.mark.parametrize("drop_in", DROP_INS, ids=lambda drop_in: drop_in.method)
def test_dropin_ignores_fields_that_it_does_not_know(drop_in):
    body = drop_in.example | {"user": "someone", "encoding_format": None}
    assert drop_in.exchanges(read_request(drop_in, json.dumps(body).encode(), (), LIMITS).body)


@pytest.mark.parametrize(
    "query",
    [[("rubric", "x")], [("priority", "urgent")], [("rubric_id", "a"), ("rubric_id", "b")], [("answer", "yes")]],
)
def test_dropin_refuses_query_parameters_that_it_does_not_know(query):
    with pytest.raises(ServiceError) as caught:
        read("/rm", SLIME, query)
    assert caught.value.code is ErrorCode.INVALID_REQUEST


def test_dropin_options_are_read_from_the_url():
    query = [("rubric_id", "house"), ("priority", "interactive"), ("truncation", "response_end")]
    options = read("/rm", SLIME, query)[1].options
    assert (options.rubric_id, options.priority, options.truncation) == ("house", "interactive", "response_end")


@pytest.mark.parametrize("path", ["/classify", "/rerank", "/get_reward"])
def test_dropin_refuses_the_choice_of_an_answer_where_there_is_one(path):
    with pytest.raises(ServiceError, match="one kind of answer"):
        read(path, {}, [("answer", "object")])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/get_reward", {"query": ["a"] * 21}),
        ("/classify", {"input": ["a"] * 21}),
        ("/verify", NEMO | {"response": {"output": [{}] * 21}}),
    ],
)
def test_dropin_refuses_more_rows_than_items_could_hold_before_it_reads_them(path, body):
    with pytest.raises(ServiceError, match="holds 21; at most 20") as caught:
        read(path, body)
    assert caught.value.code == "too_large"


# What is too much

LONG = "[INST]Why?" * 1025
EXCHANGE = f"{LONG}[/INST]Because."
ENDLESS = "[" + "[]," * 400_000 + "[]]"


@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        ("/get_reward", {"query": [EXCHANGE]}, "query[0]"),
        ("/get_reward", {"query": [EXCHANGE], "prompts": [f"{LONG}[/INST]"]}, "query[0]"),
        ("/rm", {"prompt": LONG, "response": "Because."}, "prompt"),
        ("/classify", {"input": EXCHANGE}, "input"),
        ("/rerank", {"query": LONG, "documents": ["Because."]}, "query"),
        ("/predict", {"inputs": EXCHANGE}, "inputs"),
        ("/predict", {"inputs": [[LONG, "Because."]]}, "inputs[0]"),
        ("/rm", SLIME | {"label": ENDLESS}, "label"),
        ("/get_reward", OPENRLHF | {"labels": [None, ENDLESS]}, "labels[1]"),
        ("/classify", VERL | {"rubric": ENDLESS}, "rubric"),
    ],
)
def test_dropin_refuses_too_many_turns_and_endless_labels_as_too_large(path, body, place):
    drop_in = next(drop_in for drop_in in DROP_INS if path in drop_in.paths)
    endpoint = DropInEndpoint(ExchangeScorer(default_rubric="house", gather_s=0, max_responses=4), LIMITS)
    with pytest.raises(ServiceError) as caught:
        asyncio.run(endpoint.answer(drop_in, json.dumps(body).encode(), (), oracle=None, call=None))
    assert caught.value.code is ErrorCode.TOO_LARGE
    assert caught.value.message.startswith(f"{place}: h")
