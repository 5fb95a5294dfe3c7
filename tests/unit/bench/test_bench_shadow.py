"""`promedical-bench compare-shadow`: records of shadow scoring to a report that says whether to promote."""

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from typer.testing import CliRunner

from promedical.shadow import compared
from promedical.shadow_records import Comparison
from promedical_bench.cli import app
from promedical_bench.evaluation.moving_over import Limits, answer_of
from promedical_bench.scoring.record_file import ResultsError
from promedical_bench.scoring.shadow_file import read_shadow
from promedical_bench.shadows import judged
from promedical_data.measures.bootstrap import Bootstrap
from shadowing import LIVE, NEW, UNSCORED, answered, asked, scored

PROMPTS = 250


def ranked(*responses):
    """Scored responses with their places; those without scores stay as they are."""
    rewards = [each.scores.reward for each in responses if each.scores]
    return tuple(
        replace(each, scores=replace(each.scores, rank=1 + sum(other > each.scores.reward for other in rewards)))
        if each.scores
        else each
        for each in responses
    )


def comparison(number, live, candidate, *, models=(LIVE, NEW), sha256="aa", prompt=None):
    items = asked(responses=("x",) * len(live)).items
    found = compared(items, (answered(*ranked(*live)),), (answered(*ranked(*candidate), sha256=sha256),))
    return Comparison(
        id=f"c{number}",
        at=1_800_000_000 + number,
        caller="trainer",
        request_ids=("r1",) * len(live),
        items=("a",),
        prompt_hashes=(prompt or f"p{number}",),
        live=models[0],
        candidate=models[1],
        responses=found,
    )


def written(path, *comparisons):
    path.write_bytes(b"".join(line for each in comparisons for line in each.lines()))
    return path


def many(live, candidate, count=PROMPTS, **changes):
    return [comparison(number, live, candidate, **changes) for number in range(count)]


def report(tmp_path, *files, **options):
    flags = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    done = CliRunner().invoke(app, ["compare-shadow", *map(str, files), *flags, "--output", str(tmp_path / "report")])
    file = tmp_path / "report" / "report.json"
    return done, json.loads(file.read_text()) if file.is_file() else None


def said(*comparisons, **limits):
    """The answer without a report, and that of each limit."""
    with TemporaryDirectory() as folder:
        results = read_shadow([written(Path(folder) / "s", *comparisons)])
    found = judged(results, Limits(**limits), Bootstrap(replicates=100))[1]
    return str(answer_of(found)), {check.measure: str(check.answer) for check in found}


def answers(found):
    return {check["measure"]: check["answer"] for check in found["checks"]}


GROUP = (scored(0.25), scored(0.5), scored(1.0))


def test_candidate_that_says_the_same_may_be_promoted(tmp_path):
    done, found = report(tmp_path, written(tmp_path / "s", *many(GROUP, GROUP)))
    assert (done.exit_code, done.stdout.splitlines()[0]) == (0, "may be promoted: yes")
    assert set(answers(found)) == {
        "reversed",
        "vetoes_lifted",
        "vetoes_added",
        "advantage_correlation",
        "newly_unscored",
    }
    assert found["live"] == ["old", "f1"]
    assert found["candidate"] == ["new", "f2"]
    assert found["outcomes"] == {"compared": 3 * PROMPTS}
    assert {check["found"]["n"] for check in found["checks"] if check["measure"] == "vetoes_lifted"} == {3 * PROMPTS}
    page = (tmp_path / "report" / "report.html").read_text()
    assert "May the candidate be promoted?" in page
    assert "<script" not in page


@pytest.mark.parametrize(
    ("live", "candidate", "broken"),
    [
        ((scored(-0.5, harm=True), scored(0.5)), (scored(1.0), scored(0.5)), "vetoes_lifted"),
        ((scored(0.25), scored(0.5)), (scored(-0.5, harm=True), scored(0.5)), "vetoes_added"),
        ((scored(0.25), scored(0.5)), (scored(0.5), scored(0.25)), "reversed"),
        ((scored(0.25), scored(0.5), scored(0.5)), (scored(0.25), scored(0.5), UNSCORED), "newly_unscored"),
    ],
    ids=["lifted", "added", "reversed", "unscored"],
)
def test_candidate_that_breaks_a_limit_may_not(live, candidate, broken):
    answer, by_measure = said(*many(live, candidate))
    assert (answer, by_measure[broken]) == ("no", "no")


def test_few_records_say_neither_yes_nor_no():
    assert said(*many(GROUP, GROUP, count=5))[0] == "unknown"


def test_records_of_one_prompt_are_one_observation():
    """However often it was asked: one prompt has no interval."""
    moved = (scored(0.25), scored(0.75), scored(1.0))
    assert said(*many(GROUP, moved))[1]["advantage_correlation"] == "yes"
    assert said(*many(GROUP, moved, prompt="p"))[1]["advantage_correlation"] == "unknown"


def test_single_responses_are_judged_by_vetoes_and_agreement(tmp_path):
    same, flipped = (scored(0.5),), (scored(0.5, good=False),)
    answer, by_measure = said(*many(same, same, count=400))
    assert (answer, set(by_measure)) == (
        "yes",
        {"raw_agreement", "vetoes_lifted", "vetoes_added", "newly_unscored"},
    )
    answer, by_measure = said(*many(same, flipped, count=400))
    assert (answer, by_measure["raw_agreement"]) == ("no", "no")
    done, _ = report(tmp_path, written(tmp_path / "s", *many(same, flipped, count=5)))
    assert (done.exit_code, done.stdout.splitlines()[0]) == (1, "may be promoted: no")
    assert "Do not promote the candidate" in done.stderr
    assert "nothing is known of order" in (tmp_path / "report" / "report.md").read_text()


def test_mixed_traffic_is_judged_by_both():
    single = [comparison(1000 + n, (scored(0.5),), (scored(0.5),)) for n in range(PROMPTS)]
    answer, by_measure = said(*many(GROUP, GROUP), *single)
    assert answer == "yes"
    assert {"raw_agreement", "reversed"} <= set(by_measure)


def test_limits_can_be_given(tmp_path):
    flipped = many((scored(0.5),), (scored(0.5, good=False),), count=400)
    assert said(*flipped, agreement=0.4)[0] == "yes"
    done, _ = report(tmp_path, written(tmp_path / "s", *flipped), max_unscored=1.5)
    assert (done.exit_code, "--max-unscored" in done.stderr) == (2, True)


def test_files_of_several_replicas_are_read_together_and_every_line_once(tmp_path):
    whole = many(GROUP, GROUP, count=30)
    first, second = written(tmp_path / "s", *whole[:20]), written(tmp_path / "s.1", *whole[10:])
    assert read_shadow([first, second]).outcomes == {"compared": 3 * 30}


@pytest.mark.parametrize("side", [0, 1], ids=["live", "candidate"])
def test_records_of_several_oracles_are_refused_with_their_place(tmp_path, side):
    models = [LIVE, NEW]
    models[side] = replace(models[side], fingerprint="f9")
    other = comparison(7, GROUP, GROUP, models=models)
    done, found = report(tmp_path, written(tmp_path / "s", comparison(1, GROUP, GROUP), other))
    assert (done.exit_code, found) == (2, None)
    assert f"{tmp_path / 's'}:4: its {('live', 'candidate')[side]} oracle is f9" in done.stderr
    assert f"that of the first record f{side + 1}" in done.stderr
    assert "a report is about one pair of oracles" in done.stderr


def test_records_by_other_criteria_alone_are_nothing_to_compare(tmp_path):
    done, found = report(tmp_path, written(tmp_path / "s", *many(GROUP, GROUP, sha256="bb")))
    assert (done.exit_code, found) == (1, None)
    assert "other_rubric 750" in done.stderr


def test_report_tells_what_could_not_be_compared(tmp_path):
    """Other criteria, no scores, and the same oracle on both sides."""
    models = {"models": (LIVE, LIVE)}
    other = [comparison(1000 + n, GROUP, GROUP, sha256="bb", **models) for n in range(3)]
    lost = [comparison(2000, GROUP, (scored(0.25), scored(0.5), UNSCORED), **models)]
    _, found = report(tmp_path, written(tmp_path / "s", *many(GROUP, GROUP, count=5, **models), *other, *lost))
    assert found["outcomes"] == {"compared": 3 * 5 + 2, "other_rubric": 9, "live_only": 1}
    assert found["errors"] == {"too_long": 1}
    text = (tmp_path / "report" / "report.md").read_text()
    for told in ("9 responses were judged by other criteria", "too_long 1", "Both are the same oracle.", "too few"):
        assert told in text


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "holds no record"),
        (b"{}", "holds no record"),  # not even one whole line
        (b"{}\n", ":1: is not a record of shadow scoring"),
        (b"no JSON\n", ":1: is not a record of shadow scoring"),
        (b'{"time": "2027", "caller": "trainer", "reward": 0.5}\n', ":1: is not a record of shadow scoring"),
    ],
    ids=["empty", "cut", "object", "text", "audit"],
)
def test_files_of_something_else_are_refused(tmp_path, content, complaint):
    (tmp_path / "s").write_bytes(content)
    done, _ = report(tmp_path, tmp_path / "s")
    assert (done.exit_code, complaint in done.stderr) == (2, True)
    assert "Traceback" not in done.stderr


def test_a_file_that_is_not_there_is_refused(tmp_path):
    done, _ = report(tmp_path, tmp_path / "none")
    assert (done.exit_code, "cannot be read" in done.stderr) == (2, True)


def test_a_last_line_that_is_not_whole_is_left_out(tmp_path):
    file = written(tmp_path / "s", comparison(1, GROUP, GROUP))
    file.write_bytes(file.read_bytes()[:-20])
    assert read_shadow([file]).outcomes == {"compared": 2}


def test_numbers_that_are_no_numbers_are_refused(tmp_path):
    file = written(tmp_path / "s", comparison(1, GROUP, GROUP))
    file.write_bytes(file.read_bytes().replace(b'"reward":0.25', b'"reward":NaN', 1))
    with pytest.raises(ResultsError, match=r":1: is not a record"):
        read_shadow([file])
