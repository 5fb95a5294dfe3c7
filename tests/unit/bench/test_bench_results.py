"""The results file: begun, gone on with, and refused where it is of something else or damaged."""

import json
from dataclasses import replace

import pytest
from pydantic import TypeAdapter

from judges import a_header
from promedical import ErrorCode
from promedical.messages import CriterionScore, ErrorInfo, ResponseOutcome, ResponseScores, RubricPin
from promedical.rubric import Dimension
from promedical_bench.answers import count_scored
from promedical_bench.scoring.record_file import ResultsError, read_results, writing
from promedical_bench.scoring.records import Header, failed, record_of

HEADER = a_header()


def outcome(logit=1.5):
    criterion = CriterionScore(
        id="c", dimension=Dimension.SAFETY, logit=logit, probability=0.8, threshold=0.5, met=True, satisfied=False
    )
    return ResponseOutcome(
        scores=ResponseScores(
            reward=-1.5, rank=1, vetoed=True, proficiency=None, excellence=0, violations=1, criteria=(criterion,)
        )
    )


def too_long():
    return ResponseOutcome(error=ErrorInfo(code=ErrorCode.TOO_LONG, message="is too long"))


def record(case, *outcomes, fingerprint=HEADER.fingerprint):
    return record_of(outcomes or (outcome(),), case=case, variant="as is", fingerprint=fingerprint)


def test_results_survive_the_file_and_a_failure_is_none(tmp_path):
    with writing(tmp_path / "r.jsonl", HEADER) as writer:
        writer.add(record("a", outcome(), too_long()))

    results = read_results(tmp_path / "r.jsonl")

    first, second = results.answers("as is")["a"]
    assert second is None
    assert (first.reward, first.rank, first.verdicts["c"].dimension) == (-1.5, 1, "safety")
    assert (first.verdicts["c"].logit, first.verdicts["c"].met) == (1.5, True)
    assert results.unscored("as is", {"a": (False,) * len(results.records["as is", "a"].responses)}) == {"too_long": 1}
    assert results.unscored("as is", {"b": (False,)}) == {}
    assert results.answers("injected") == {}


def test_writing_goes_on_and_drops_a_half_written_line(tmp_path):
    path = tmp_path / "r.jsonl"
    with writing(path, HEADER) as writer:
        writer.add(record("a"))
        writer.add(record("b"))
    path.write_bytes(path.read_bytes()[:-20])

    with writing(path, HEADER) as writer:
        assert writer.has("as is", "a")
        assert not writer.has("as is", "b")
        writer.add(record("b"))

    assert count_scored(read_results(path).answers("as is")) == 2
    assert len(path.read_bytes().splitlines()) == 3


@pytest.mark.parametrize("kept", [0, 25, -1])
def test_writing_begins_anew_where_not_even_the_header_is_whole(kept, tmp_path):
    path = tmp_path / "r.jsonl"
    with writing(path, HEADER):
        pass
    path.write_bytes(path.read_bytes()[:kept])
    with writing(path, HEADER) as writer:
        writer.add(record("a"))
    assert read_results(path).header == HEADER
    assert count_scored(read_results(path).answers("as is")) == 1


@pytest.mark.parametrize("content", [b"my notes", b'{"my": "notes"}', b"my notes\n", b"my notes\nof a year"])
def test_writing_leaves_a_file_that_is_none_of_ours_as_it_is(content, tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_bytes(content)
    refused = pytest.raises(ResultsError, match=r"r\.jsonl: (holds no results|does not start with the header)")
    with refused, writing(path, HEADER):
        pass
    assert path.read_bytes() == content


def test_writing_leaves_results_of_another_run_as_they_are_down_to_the_half_written_line(tmp_path):
    path = tmp_path / "r.jsonl"
    with writing(path, HEADER) as writer:
        writer.add(record("a"))
    path.write_bytes(before := path.read_bytes()[:-20])
    with pytest.raises(ResultsError, match="holds results of task kqa"), writing(path, a_header(task="promedical")):
        pass
    assert path.read_bytes() == before


def test_writing_refuses_new_content_under_the_name_of_a_rubric(tmp_path):
    path, header = tmp_path / "r.jsonl", a_header(rubric="strict@1", rubric_sha256="a" * 64)
    for _ in range(2):
        with writing(path, header):
            pass
    other = replace(header, rubric_sha256="b" * 64)
    refused = pytest.raises(ResultsError, match="holds results of rubric content aaaaaaaaaaaa, not bbbbbbbbbbbb")
    with refused, writing(path, other):
        pass


def test_writing_goes_on_in_a_file_from_before_hashes_of_rubrics_were_kept(tmp_path):
    path, header = tmp_path / "r.jsonl", a_header(rubric="strict@1", rubric_sha256="a" * 64)
    old = json.loads(TypeAdapter(Header).dump_json(header))
    del old["rubric_sha256"], old["model"]["rubrics"]
    path.write_text(json.dumps(old) + "\n")
    with writing(path, header) as writer:
        assert writer.results.header.pins == ()


def test_named_rubric_is_pinned_where_the_service_knows_pins():
    header = a_header(rubric="strict@1", rubric_sha256="a" * 64)
    pin = RubricPin(name="strict@1", sha256="a" * 64)
    assert header.pins == ()
    assert replace(header, model=replace(header.model, rubrics=(pin,))).pins == (pin,)


def test_writing_asks_again_for_what_may_go_well_the_next_time(tmp_path):
    with writing(tmp_path / "r.jsonl", HEADER) as writer:
        kept = {"case": "a", "variant": "as is", "fingerprint": HEADER.fingerprint}
        writer.add(failed(1, ErrorCode.ENGINE_FAILURE, retryable=True, **kept))
        assert not writer.has("as is", "a")
        writer.add(failed(1, ErrorCode.TOO_LARGE, retryable=False, **kept))
        assert writer.has("as is", "a")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"task": "promedical"}, "task kqa, not promedical"),
        ({"data": "e" * 64}, "data dddddddddddd, not eeeeeeeeeeee"),
        ({"rubric": "general-medical@1"}, "rubric None, not general-medical@1"),
        ({"fingerprint": "0" * 32}, f"oracle {'f' * 32}, not {'0' * 32}"),
    ],
)
def test_writing_refuses_results_of_something_else(changes, what, tmp_path):
    with writing(tmp_path / "r.jsonl", HEADER):
        pass
    before = (tmp_path / "r.jsonl").read_bytes()
    with pytest.raises(ResultsError, match=f"{what}; name another"), writing(tmp_path / "r.jsonl", a_header(**changes)):
        pass
    assert (tmp_path / "r.jsonl").read_bytes() == before


def test_writing_refuses_a_second_process(tmp_path):
    with (
        writing(tmp_path / "r.jsonl", HEADER),
        pytest.raises(ResultsError, match="another process is writing to it"),
        writing(tmp_path / "r.jsonl", HEADER),
    ):
        pass


def test_read_results_refuses_two_oracles_in_one_file(tmp_path):
    with writing(tmp_path / "r.jsonl", HEADER) as writer:
        writer.add(record("a"))
        writer.add(record("b", fingerprint="0" * 32))
    with pytest.raises(ResultsError, match=r"r\.jsonl:3: is from oracle 0+, the file from f+; .* not mixed"):
        read_results(tmp_path / "r.jsonl")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no results"),
        (b'{"a": 1}\n', "does not start with the header"),
        (b"half a header", "holds no results"),
    ],
)
def test_read_results_refuses_what_are_none(content, message, tmp_path):
    (tmp_path / "r.jsonl").write_bytes(content)
    with pytest.raises(ResultsError, match=message):
        read_results(tmp_path / "r.jsonl")


def test_read_results_refuses_damage_in_the_middle_and_a_missing_file(tmp_path):
    path = tmp_path / "r.jsonl"
    with writing(path, HEADER) as writer:
        writer.add(record("a"))
    path.write_bytes(path.read_bytes() + b"{half a line\n")
    with pytest.raises(ResultsError, match=r"r\.jsonl:3: is not a result; the file is damaged"):
        read_results(path)
    with pytest.raises(ResultsError, match=r"results\.jsonl: cannot be read: No such file"):
        read_results(tmp_path)


def test_results_hold_no_text(tmp_path):
    with writing(tmp_path / "r.jsonl", HEADER) as writer:
        writer.add(record("a", too_long()))
    assert "is too long" not in (tmp_path / "r.jsonl").read_text()
