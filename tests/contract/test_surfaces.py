"""Frozen surfaces: what other people's code depends on changes only with a changed snapshot file."""

import re
from dataclasses import MISSING, fields, is_dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from google.protobuf import text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto

import promedical
from promedical import ERROR_TABLE, ErrorCode, messages
from promedical.errors import ITEM_ERROR_CODES, RETRYABLE_ITEM_CODES
from promedical.v1 import reward_pb2


def test_public_names_are_frozen(snapshot):
    snapshot("public_names.txt", "\n".join(sorted(promedical.__all__)) + "\n")


def test_every_public_name_exists():
    assert all(hasattr(promedical, name) for name in promedical.__all__)


def test_error_table_is_frozen(snapshot):
    rows = [
        f"{code} grpc={row.grpc_status} http={row.http_status} retryable={row.retryable} title={row.title!r}"
        for code, row in ERROR_TABLE.items()
    ]
    rows += [f"{code} of an item, retryable={code in RETRYABLE_ITEM_CODES}" for code in sorted(ITEM_ERROR_CODES)]
    snapshot("error_table.txt", "\n".join(rows) + "\n")


def test_proto_descriptor_is_frozen(snapshot):
    descriptor = FileDescriptorProto()
    reward_pb2.DESCRIPTOR.CopyToProto(descriptor)
    snapshot("reward.proto.txt", text_format.MessageToString(descriptor))


def test_message_fields_are_frozen(snapshot):
    shapes = [
        shape for shape in vars(messages).values() if is_dataclass(shape) and shape.__module__ == messages.__name__
    ]
    lines = [
        f"{shape.__name__}.{field.name}{'' if _is_required(field) else '?'}"
        for shape in shapes
        for field in fields(shape)
    ]
    snapshot("message_fields.txt", "\n".join(lines) + "\n")


def _is_required(field) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def test_every_error_code_answers_a_request_or_an_item_and_never_both():
    assert set(ErrorCode) == set(ERROR_TABLE) | ITEM_ERROR_CODES
    assert not set(ERROR_TABLE) & ITEM_ERROR_CODES
    assert RETRYABLE_ITEM_CODES <= ITEM_ERROR_CODES


def test_error_table_names_statuses_that_grpc_has():
    grpc = pytest.importorskip("grpc")
    assert {row.grpc_status for row in ERROR_TABLE.values()} <= {status.name for status in grpc.StatusCode}


def test_no_retryable_error_has_a_4xx_status_but_429():
    """Some trainers treat every 4xx as fatal, so what may be sent again must not look like one."""
    assert all(row.http_status in (429, 503) for row in ERROR_TABLE.values() if row.retryable)


@pytest.mark.parametrize("text", ["changed\n", None], ids=["changed", "missing"])
def test_a_broken_snapshot_says_how_to_update_it(stale_snapshot, text):
    with pytest.raises(AssertionError, match=r"pytest tests/contract/test_surfaces\.py --snapshot-update"):
        stale_snapshot(text)


@pytest.fixture
def stale_snapshot(snapshot, request):
    """Compare against a snapshot that is stale, or that does not exist."""
    if request.config.getoption("--snapshot-update"):
        pytest.skip("writes snapshots instead of comparing them")

    def compare(text: str | None) -> None:
        snapshot("public_names.txt" if text else "no_such_snapshot.txt", text or "")

    return compare


def test_proto_fields_and_message_fields_have_the_same_names():
    """REST carries the names of the proto, but for the prompt, which JSON tells apart by its type."""
    pairs = {
        "ScoreBatchRequest": messages.ScoreRequest,
        "ScoreItem": messages.ScoreItem,
        "RankResponsesRequest": messages.RankRequest,
        "ScoreBatchResponse": messages.ScoreResponse,
        "RankResponsesResponse": messages.RankResponse,
        "GetModelResponse": messages.ModelInfo,
        "ListRubricsResponse": messages.RubricList,
        "Criterion": messages.CriterionSpec,
        "Rubric": messages.RubricSpec,
        "RewardWeights": messages.WeightsSpec,
        **{
            name: getattr(messages, name)
            for name in (
                "Message",
                "ErrorInfo",
                "CriterionScore",
                "ResponseScores",
                "ResponseOutcome",
                "RubricRef",
                "RubricPin",
                "UsedRubric",
                "ItemResult",
                "ItemOutcome",
                "ModelRef",
                "Usage",
                "Timings",
                "RubricInfo",
                "Limits",
            )
        },
    }
    only_on_the_wire = {"Messages", "RankGroup", "GetRubricRequest", "GetRubricResponse", "ListRubricsRequest"}
    only_on_the_wire |= {"GetModelRequest"}
    wire = reward_pb2.DESCRIPTOR.message_types_by_name
    assert set(wire) == set(pairs) | only_on_the_wire
    for name, shape in pairs.items():
        names = {"prompt" if f in ("prompt_text", "messages") else f for f in wire[name].fields_by_name}
        if name == "Message":
            names = set(wire[name].fields_by_name)
        assert names == {field.name for field in fields(shape)}, name


def test_every_real_number_on_the_wire_is_a_double():
    for message in reward_pb2.DESCRIPTOR.message_types_by_name.values():
        for field in message.fields:
            assert field.type != field.TYPE_FLOAT, f"{message.name}.{field.name}"


def test_every_enum_on_the_wire_starts_with_unspecified():
    for enum in reward_pb2.DESCRIPTOR.enum_types_by_name.values():
        assert enum.values_by_number[0].name.endswith("_UNSPECIFIED"), enum.name


def test_every_element_on_the_wire_is_commented():
    element = re.compile(r"(service|rpc|enum|message|oneof) |((optional|repeated) )?[\w.]+ \w+ = \d|\w+ = \d")
    lines = (Path(promedical.__file__).parent / "v1" / "reward.proto").read_text(encoding="utf-8").splitlines()
    bare = [line for above, line in pairwise(map(str.strip, lines)) if element.match(line) and above[:2] != "//"]
    assert bare == []
    assert sum(bool(element.match(line.strip())) for line in lines) > 150
