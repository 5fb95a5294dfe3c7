"""docs/security.md names tests that exist, and states the numbers that the code has."""

import ast
import re
from pathlib import Path

from promedical_service import server
from promedical_service.edges import desk
from promedical_service.edges.grpc import answers, calls, health, messages
from promedical_service.edges.grpc import server as grpc_server
from promedical_service.edges.rest import connection, listener

REPOSITORY = Path(__file__).resolve().parents[3]
PAGE = (REPOSITORY / "docs" / "security.md").read_text(encoding="utf-8")
FILE = re.compile(r"`(tests/[\w/]+\.py)`")
FUNCTION = re.compile(r"`(test_\w+)`")


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_security_page_names_tests_that_exist():
    known = set().union(*map(functions_of, (REPOSITORY / "tests").rglob("test_*.py")))
    named = set(FUNCTION.findall(PAGE))
    assert len(named) > 80
    assert sorted(named - known) == []
    assert [path for path in FILE.findall(PAGE) if not (REPOSITORY / path).is_file()] == []


def test_security_page_names_a_test_for_every_claim():
    rows = PAGE.partition("| fails if it is false |")[2].strip().splitlines()[1:]
    assert rows
    assert [row for row in rows if not FUNCTION.search(row) and not FILE.search(row)] == []


def kib(count: float) -> str:
    return f"{count / 1024:g} KiB"


def test_security_page_states_the_bounds_of_the_code():
    places = grpc_server.RewardService(None, None, 0)._places  # nothing is asked of it
    slowest_rest = 64 * 1024 / connection._PATIENCE_PER_PART_S
    bounds = (
        f"read without a key, up to {kib(messages.MAX_BRIEF_BYTES)};",
        f"{places._at_once} messages for scoring are read at once, {places._of_one} of them of one caller",
        f"and {grpc_server._BRIEF_READS_AT_ONCE} for health and reflection",
        f"takes no message over {kib(messages.MAX_BRIEF_BYTES)};",
        f"gets no turn within {grpc_server._WAIT_S:g} s",
        f"a TLS handshake must be done within {listener._HANDSHAKE_TIMEOUT_S:g} s",
        f"a request head must come within {connection._HEAD_TIMEOUT_S:g} s",
        f"gRPC: the handshake must be done within {grpc_server._HANDSHAKE_TIMEOUT_S:g} s",
        f"idle connections end after {grpc_server._IDLE_S / 60:g} minutes",
        f"must come within {places._looks * calls.LOOK_S:g} s, or within {calls.LOOK_S:g} s if others wait",
        f"of over {health._MAX_WATCHES} health watches the oldest ends",
        f"On the health port {server._SPARE_CONNECTIONS} connections are allowed",
        f"hold at most {desk._MAX_ANSWER_BYTES / 1024**2:g} MiB together",
        f"takes nothing for {connection._WRITE_PATIENCE_S:g} s, or less than {kib(slowest_rest)}/s in the long run",
        f"within {answers._PATIENCE_S:g} s, and 1 s more for each {kib(answers._SLOWEST_BYTES_PER_S)}, is ended",
        f"{kib(connection.MAX_HEADER_BYTES)} on REST, {kib(grpc_server._MAX_METADATA_BYTES)} on gRPC",
    )
    assert messages._SHARED_S == 0.5, "half a second"
    assert [bound for bound in bounds if bound not in PAGE] == []
