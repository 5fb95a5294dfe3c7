"""Vectors: the real model on the CPU, and the same model behind a real server."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from json import dumps, loads

import numpy as np
import pytest

from promedical_curation.embedding.endpoint import EmbeddingEndpoint
from promedical_curation.embedding.minilm import DIMENSIONS, MiniLM
from promedical_curation.embedding.weights import weights_folder
from promedical_curation.errors import CurationError

TEXTS = ["What are the symptoms of asthma?", "What are the signs of asthma?", "How is gout treated?", "", "a " * 2000]


@pytest.fixture(scope="module")
def model():
    return MiniLM()


@contextmanager
def served(answer):
    """A server with /v1/embeddings that answers as it is told to."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = loads(self.rfile.read(int(self.headers["content-length"])))
            status, content = answer(self.path, body)
            data = dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_minilm_puts_like_questions_together(model):
    vectors = model.encode(TEXTS)
    assert vectors.shape == (len(TEXTS), DIMENSIONS)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.9
    assert vectors[0] @ vectors[2] < 0.5


def test_minilm_gives_a_text_the_same_vector_in_any_company(model):
    together, alone = model.encode(TEXTS), [model.encode([text])[0] for text in reversed(TEXTS)]
    assert np.array_equal(together, np.array(alone[::-1]))


def test_minilm_encodes_nothing(model):
    assert model.encode([]).shape == (0, DIMENSIONS)


def test_weights_are_not_fetched_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("PROMEDICAL_CACHE", str(tmp_path))
    monkeypatch.setenv("PROMEDICAL_OFFLINE", "1")
    with pytest.raises(CurationError, match="PROMEDICAL_OFFLINE forbids fetching it"):
        weights_folder()


def test_endpoint_gives_the_vectors_of_its_model(model):
    def answer(path, body):
        assert (path, body["model"]) == ("/v1/embeddings", "minilm")
        data = [
            {"index": place, "embedding": vector.tolist()} for place, vector in enumerate(model.encode(body["input"]))
        ]
        return 200, {"object": "list", "data": data[::-1], "model": "minilm"}

    texts = [f"Question {number}?" for number in range(70)]
    with served(answer) as url:
        assert np.allclose(EmbeddingEndpoint(url, "minilm").encode(texts), model.encode(texts), atol=1e-6)


WRONG = {
    "refuses": (lambda _, __: (401, {"error": {"message": "no key"}}), "answered 401"),
    "fewer": (lambda _, __: (200, {"data": [{"index": 0, "embedding": [1.0]}]}), "one vector of numbers per text"),
    "no numbers": (lambda _, __: (200, {"data": [{"index": n, "embedding": ["a"]} for n in (0, 1)]}), "one vector"),
    "other shape": (lambda _, __: (200, {"vectors": []}), "one vector of numbers per text"),
}


@pytest.mark.parametrize("case", WRONG)
def test_endpoint_that_answers_otherwise_has_a_clear_error(case):
    answer, said = WRONG[case]
    with served(answer) as url, pytest.raises(CurationError, match=said):
        EmbeddingEndpoint(url, "m").encode(["one", "two"])


def test_endpoint_that_is_down_has_a_clear_error():
    with pytest.raises(CurationError, match="check the address, the model and the key"):
        EmbeddingEndpoint("http://127.0.0.1:1/v1", "m", timeout_s=1).encode(["one"])
