"""Fields that the clients of one family send to several endpoints mean the same in each, or are refused by name."""

import base64
import json
import struct

import pytest

from promedical import messages as m
from promedical.rubric import InvalidField
from promedical_service.edges.dropins.catalog import DROP_INS, read_request
from promedical_service.edges.dropins.endpoint import DropInEndpoint
from promedical_service.edges.dropins.format import Receipt, Scored
from promedical_service.edges.dropins.scorer import ExchangeScorer
from promedical_service.limits import CountLimits

MODEL = m.ModelRef(name="oracle", revision="r", fingerprint="f1", engine="fake", dtype="none")
LIMITS = CountLimits(max_items=5, max_responses_per_item=4, max_criteria_per_item=9)
CHATML = "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n{}<|im_end|>\n"
WHY = (m.Message(role="user", content="Why?"),)
BODIES = {
    "/rerank": {"query": "Why?", "documents": ["Because."]},
    "/v1/rerank": {"query": "Why?", "texts": ["Because."]},
    "/predict": {"inputs": ["Why?", "Because."]},
    "/": {"inputs": ["Why?", "Because."]},
    "/classify": {"input": CHATML.format("Because.")},
    "/v1/embeddings": {"input": CHATML.format("Because.")},
}
VLLM, TEI = ("/rerank", "/classify", "/v1/embeddings"), ("/v1/rerank", "/predict", "/")


def read(path, body):
    drop_in = next(drop_in for drop_in in DROP_INS if path in drop_in.paths)
    return read_request(drop_in, json.dumps(body).encode(), (), LIMITS)


def exchanges(path, body):
    asked = read(path, body)
    return asked.drop_in.exchanges(asked.body)


def truncation(path, body):
    asked = read(path, body)
    asked.drop_in.exchanges(asked.body)
    return asked.drop_in.truncation(asked.body)


def told(path, body, *rewards):
    asked = read(path, body)
    scores = [
        m.ResponseScores(reward=reward, rank=1, vetoed=False, proficiency=0.5, excellence=1, violations=0, criteria=())
        for reward in rewards
    ]
    scored = Scored(responses=tuple(scores), model=MODEL, tokens=10)
    return asked.drop_in.encode(asked, scored, Receipt(request_id="id1", created=7))


@pytest.mark.parametrize("path", TEI)
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "none"),
        ({"truncate": False, "truncation_direction": "Left"}, "none"),
        ({"truncate": True}, "response_end"),
        ({"truncate": True, "truncation_direction": "Right"}, "response_end"),
        ({"truncate": True, "truncation_direction": "Left"}, "prompt_start"),
    ],
    ids=str,
)
def test_fields_of_tei_cut_the_same_in_each_of_its_endpoints(path, fields, expected):
    assert truncation(path, BODIES[path] | fields) == expected


@pytest.mark.parametrize("path", VLLM)
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"truncate_prompt_tokens": -1}, "response_end"),
        ({"truncate_prompt_tokens": -1, "truncation_side": "left"}, "prompt_start"),
        ({"truncate_prompt_tokens": 500, "truncation_side": "right"}, "response_end"),
        ({"truncation_side": "left"}, "none"),
    ],
    ids=str,
)
def test_fields_of_vllm_cut_the_same_in_each_of_its_endpoints(path, fields, expected):
    assert truncation(path, BODIES[path] | fields) == expected


@pytest.mark.parametrize("path", VLLM)
@pytest.mark.parametrize("most", [0, 5, -2])
def test_a_cut_to_a_number_of_tokens_is_refused_by_name(path, most):
    with pytest.raises(InvalidField, match=r"^truncate_prompt_tokens: (is \d, and |expected -1)"):
        exchanges(path, BODIES[path] | {"truncate_prompt_tokens": most})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"max_tokens_per_doc": 5}, r"^max_tokens_per_doc: is 5, and documents\[1\] may have more tokens"),
        ({"max_doc_length": 5}, r"^max_doc_length: is 5, and documents\[1\]"),
        ({"max_tokens_per_query": 3}, "^max_tokens_per_query: is 3, and query may"),
        ({"max_query_length": 3}, "^max_query_length: is 3"),
        ({"max_tokens_per_doc": -1}, "^max_tokens_per_doc: expected 0"),
        ({"max_chunks_per_doc": 10}, "^max_chunks_per_doc: is not supported"),
        ({"rank_fields": ["title", "text"]}, "^rank_fields: expected"),
    ],
    ids=str,
)
def test_rerank_refuses_cuts_per_document_that_would_cut(fields, said):
    body = {"query": "Why?", "documents": ["A.", "Because."]}
    with pytest.raises(InvalidField, match=said):
        exchanges("/rerank", body | fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens_per_doc": 4096, "max_tokens_per_query": 64},
        {"max_tokens_per_doc": 0, "max_chunks_per_doc": None, "rank_fields": ["text"]},
        {"max_doc_length": 8, "max_query_length": None},
    ],
    ids=str,
)
def test_rerank_takes_lengths_that_nothing_exceeds(fields):
    rows = exchanges("/rerank", {"query": "Why?", "documents": ["A.", {"text": "Because."}]} | fields)
    assert [row.response for row in rows] == ["A.", "Because."]


@pytest.mark.parametrize("field", ["use_activation", "activation"])
def test_the_reward_itself_is_asked_for_in_the_same_way(field):
    for path in ("/rerank", "/classify"):
        raw, squashed = told(path, BODIES[path] | {field: False}, -1.5), told(path, BODIES[path], -1.5)
        numbers = [a.results[0].relevance_score if path == "/rerank" else a.data[0].probs[0] for a in (raw, squashed)]
        assert numbers == [-1.5, pytest.approx(0.1824255)]


PARTS = [{"type": "text", "text": "Be"}, {"type": "text", "text": "cause."}]


@pytest.mark.parametrize(
    "documents",
    [["Because."], [{"text": "Because."}], [{"content": PARTS}], [PARTS], {"content": PARTS}, "Because.",
     [{"content": "Because."}]],
    ids=str,
)  # fmt: skip
def test_rerank_takes_documents_as_each_client_writes_them(documents):
    for query in ("Why?", {"content": [{"type": "text", "text": "Why?"}]}, {"text": "Why?"}):
        body = {"query": query, "documents": documents}
        assert [(row.turns, row.response) for row in exchanges("/rerank", body)] == [(WHY, "Because.")]
        assert told("/rerank", body, 0.0).results[0].document.text == "Because."


@pytest.mark.parametrize(
    "document", [{"title": "x"}, {"content": [{"type": "image_url", "image_url": {"url": "x"}}]}, [{}]], ids=str
)
def test_rerank_refuses_documents_that_are_no_text(document):
    with pytest.raises(InvalidField, match=r"^documents\[0\]: expected text"):
        exchanges("/rerank", {"query": "Why?", "documents": [document]})


def test_root_answers_by_the_body_as_tei_does_by_its_model():
    ((one,),) = told("/", {"inputs": [["Why?", "A."]], "raw_scores": True}, 0.3)
    assert (one.score, one.label) == (0.3, "reward")
    ranks = told("/", {"query": "Why?", "texts": ["A.", "B."], "raw_scores": True}, 0.1, 0.2)
    assert [(rank.index, rank.score) for rank in ranks] == [(1, 0.2), (0, 0.1)]


# verl 0.9.1, verl/experimental/reward_loop/reward_loop.py: RewardLoopWorker.compute_score_disrm with sglang


def test_embeddings_answer_the_reward_as_verl_reads_it():
    body = {"model": "some/path", "input": CHATML.format("Because.")}
    assert [(row.turns, row.response) for row in exchanges("/v1/embeddings", body)] == [(WHY, "Because.")]
    assert told("/v1/embeddings", body, -1.5).data[-1].embedding[-1] == -1.5
    assert told("/v1/embeddings", body | {"use_activation": True}, 0.0).data[0].embedding == (0.5,)


def test_embeddings_answer_openais_client_in_its_encoding():
    (entry,) = told("/v1/embeddings", BODIES["/v1/embeddings"] | {"encoding_format": "base64"}, 0.75).data
    assert struct.unpack("<f", base64.b64decode(entry.embedding)) == (0.75,)


def test_embeddings_refuse_more_than_one_dimension():
    with pytest.raises(InvalidField, match=r"^dimensions: expected 1"):
        exchanges("/v1/embeddings", BODIES["/v1/embeddings"] | {"dimensions": 256})


@pytest.mark.parametrize(
    ("setting", "query", "response"),
    [
        ("leave_out", (), "Rest."),
        ("judge", (), "<think>Hm.</think>Rest."),
        ("judge", (("thoughts", "leave_out"),), "Rest."),
        ("leave_out", (("thoughts", "judge"),), "<think>Hm.</think>Rest."),
    ],
)
def test_thoughts_are_judged_as_the_setting_and_the_url_say(setting, query, response):
    scorer = ExchangeScorer(default_rubric="house", gather_s=0, max_responses=4)
    endpoint = DropInEndpoint(scorer, LIMITS, setting)
    drop_in = next(drop_in for drop_in in DROP_INS if "/rm" in drop_in.paths)
    body = json.dumps({"prompt": "Why?", "response": "<think>Hm.</think>Rest."}).encode()
    (read,) = endpoint._read(drop_in, body, query)[1]
    assert read.response == response
