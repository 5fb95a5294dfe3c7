"""A server with the API of a language model whose answers a rule makes: drafters and judges that can be foreseen.

It sorts every question under the first words of the taxonomy. It drafts a criterion for every long word that one of the
two answers has and the other has not, and judges one met if the answer holds its word. A small model drafts and judges
like nobody, so no test could say what has to come out.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fault_proxy import completion

_LONG = re.compile(r"[A-Za-z]{5,}")


def answer_to(body: dict[str, Any]) -> str:
    """What the rule says."""
    properties = body.get("response_format", {}).get("json_schema", {}).get("schema", {}).get("properties", {})
    asked = body["messages"][-1]["content"]
    if "criteria" in properties:
        return json.dumps({"criteria": _drafted(asked)})
    if "verdict" in properties:
        return json.dumps(_judged(asked))
    if "specialty" in properties:
        return json.dumps({name: each["enum"][0] for name, each in properties.items()})
    return json.dumps({"ready": True}) if "ready" in properties else "Yes."


def _drafted(asked: str) -> list[dict[str, Any]]:
    answers = [set(_LONG.findall(part)) for part in re.split(r"\n\nAnswer \d+:\n", asked)[1:]]
    apart = answers[0] ^ answers[1] if len(answers) > 1 else set()  # the check before a run shows no answer
    words = sorted(apart)[:4] or ["nothing"]
    return [
        {
            "text": f"States the word {word}.",
            "dimension": "proficiency",
            "polarity": "positive",
            "weight": 1 + place,
            "factual": False,
            "citation": "",
        }
        for place, word in enumerate(words)
    ]


def _judged(asked: str) -> dict[str, str]:
    answer, _, criterion = asked.partition("\n\nAnswer:\n")[2].partition("\n\nStatement about the answer:\n")
    word = criterion.removeprefix("States the word ").removesuffix(".")
    found = bool(word) and word in answer
    return {"evidence": word if found else "", "verdict": "met" if found else "not_met"}


@contextmanager
def running_rule_model() -> Iterator[str]:
    """Start it; gives the address of its API."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            content = json.dumps(completion(answer_to(body))).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
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
