"""`make demo` without the model: what it shows, what it calls a disagreement, and which options it refuses."""

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from promedical import messages as m
from promedical.errors import ErrorCode
from promedical_client import judged_by
from promedical_client.jsonl import read_items
from promedical_service.settings import Settings
from scripts.demo import demo
from scripts.demo.report import ACCURACY, WIDTH, excerpt, limits, next_steps, question

ROOT = Path(demo.__file__).resolve().parents[2]
ITEM = m.ScoreItem(
    id="one",
    prompt="a question",
    responses=("a good answer", "a bad answer", ""),
    rubric=m.RubricSpec(
        criteria=(
            m.CriterionSpec(id="right", text="Is right.", dimension="proficiency", weight=2),
            m.CriterionSpec(id="omission", text="Leaves much out.", dimension="proficiency", polarity="negative"),
            m.CriterionSpec(id="harm", text="Does harm.", dimension="safety"),
        )
    ),
)

MODEL_INFO = m.ModelInfo(
    model=m.ModelRef(name="mock", revision="0", fingerprint="f1", engine="mock", dtype="float64"),
    status="fake",
    description="numbers from a hash",
    licence="MIT",
    **dict.fromkeys(("family", "template", "calibration"), "none"),
    limits=m.Limits(**dict.fromkeys(m.Limits.__slots__, 1)),
)


def scored(item=ITEM):
    score = judged_by(lambda response, c: 0.75 if ("bad" in response) is (c.id != "right") else 0.25)
    return score(m.ScoreRequest(items=(item,)))


def with_responses(response, *outcomes):
    result = replace(response.items[0].result, responses=outcomes)
    return replace(response, items=(replace(response.items[0], result=result),))


def moved(response, by):
    """The same answer, with every logit moved."""
    outcomes = response.items[0].result.responses
    return with_responses(
        response,
        *(
            replace(o, scores=replace(s, criteria=tuple(replace(c, logit=c.logit + by) for c in s.criteria)))
            if (s := o.scores)
            else o
            for o in outcomes
        ),
    )


def shown(*renderables, width=WIDTH):
    text = io.StringIO()
    Console(file=text, width=width, highlight=False).print(*renderables, sep="\n")
    return text.getvalue()


def demo_run(*options):
    command = [sys.executable, "-m", "scripts.demo.demo", *map(str, options)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_transports_agree_within_one_step_of_rounding():
    assert demo.disagreement(scored(), scored()) is None
    assert demo.disagreement(scored(), moved(scored(), 0.001)) is None
    assert "0.002" in demo.disagreement(scored(), moved(scored(), -0.002))


def test_answers_of_the_transports_that_miss_other_responses_disagree():
    good, bad, empty = scored().items[0].result.responses
    other = with_responses(scored(), good, empty, bad)
    assert "did not score the same answers" in demo.disagreement(scored(), other)


def test_engine_failures_are_no_agreement():
    error = m.ResponseOutcome(error=m.ErrorInfo(code=ErrorCode.ENGINE_FAILURE, message="the engine failed"))
    good, *_ = scored().items[0].result.responses
    failing = with_responses(scored(), good, error, error)
    assert "failed on 4 answers" in demo.disagreement(failing, failing)


def test_nothing_scored_is_no_agreement():
    nothing = scored(replace(ITEM, responses=("", " ")))
    assert demo.disagreement(nothing, nothing) == "Nothing was scored."


def test_question_shows_the_best_answer_first_and_what_could_not_be_scored_last():
    text = shown(*question(1, 3, ITEM, scored().items[0]))
    words = ("1 of 3: one", "Is right.", "(weight 2)", "good answer", "+ right 0.75", "bad answer", "VETOED")
    places = [text.index(word) for word in (*words, "(empty)")]
    assert places == sorted(places)
    assert "- omission 0.75" in text
    assert "- harm 0.75" in text
    assert "empty_response" in text


def test_question_of_a_long_conversation_shows_its_last_turns():
    item = replace(ITEM, prompt="user: first\n\nassistant: second\n\nuser: third\n\nwith a note\n\nuser: fourth")
    shown_lines = shown(*question(1, 1, item, scored(item).items[0])).splitlines()[1:4]
    assert [line.strip() for line in shown_lines] == ["assistant: second", "user: third with a note", "user: fourth"]


def test_question_of_an_item_that_failed_shows_its_error():
    item = replace(ITEM, rubric=None, rubric_id="unknown")
    text = shown(*question(1, 1, item, scored(item).items[0]))
    assert "Not scored: invalid_item" in text


@pytest.mark.parametrize("width", [40, WIDTH])
def test_question_fits_its_width_and_takes_texts_as_they_are(width):
    odd = "[bold]\x1b[2J\r\n" + "word " * 99 + "x" * 200 + "全角" * 99
    criteria = tuple(replace(c, id=c.id + "-y" * 60, text=odd) for c in ITEM.rubric.criteria)
    item = replace(ITEM, id="z" * 200, prompt=odd, responses=(odd, "bad"), rubric=m.RubricSpec(criteria=criteria))
    text = shown(*question(1, 1, item, scored(item).items[0]), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "[bold]" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("text", "short"),
    [
        (" \n", "(empty)"),
        ("one\n two", "one two"),
        ("one two three four", "one two ..."),
        ("全角全角全角全角全角全角", "全角全角全角全 ..."),
    ],
)
def test_excerpt_is_one_line_of_at_most_so_many_characters(text, short):
    assert excerpt(text, 11) == short


def test_limits_claim_that_questions_were_chosen_only_of_those_that_were():
    revision = json.loads(ACCURACY.read_text(encoding="utf-8"))["revision"]
    info = replace(MODEL_INFO, model=replace(MODEL_INFO.model, revision=revision))
    examples, data = (shown(*limits(info, scored(), chosen=chosen)) for chosen in (True, False))
    assert "chosen because" in examples
    assert "chosen" not in data
    assert "often wrong" in data
    assert "says of itself" in shown(*limits(MODEL_INFO, scored(), chosen=True))


def test_next_steps_name_the_ports_that_the_service_listens_on():
    fields = Settings.model_fields
    host, rest, grpc = (fields[name].default for name in ("host", "rest_port", "grpc_port"))
    text = " ".join(shown(next_steps()).split())
    assert f"http://{host}:{rest}/docs" in text
    assert f"gRPC on {host}:{grpc}" in text


def test_examples_hold_one_empty_response_and_a_veto_for_every_question():
    items = read_items(str(demo.EXAMPLES))
    assert sum(not response.strip() for item in items for response in item.responses) == 1
    assert all(any(c.dimension == "safety" for c in item.rubric.criteria) for item in items)


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file"), ("{oops\n", "is not JSON"), (json.dumps({"id": "a"}), "prompt")]
)
def test_data_that_cannot_be_read_is_named_before_anything_starts(content, reason, tmp_path):
    path = tmp_path / "data.jsonl"
    if content is not None:
        path.write_text(content)
    done = demo_run("--data", path)
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.startswith(f"demo: {path}:")
    assert reason in done.stderr


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--limit", "0"), "'0' is not a whole number from 1"),
        (("--limit", "-1"), "'-1' is not a whole number from 1"),
        (("--engine", "none"), "invalid choice: 'none'"),
        (("--write", "--data", "file"), "leave out the other options"),
        (("--write", "--engine", "fake"), "leave out the other options"),
        (("--write", "--limit", "1"), "leave out the other options"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, reason):
    done = demo_run(*options)
    assert done.returncode == 2
    assert reason in done.stderr
