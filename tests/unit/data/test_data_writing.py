"""Writing labelled data: what a format can hold comes back the same, and what it cannot is refused by name."""

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelled import a_criterion, a_prompt, a_response
from promedical.messages import Message
from promedical.rubric import Criterion, Dimension, Polarity
from promedical_data.errors import DataError
from promedical_data.formats.healthbench import criterion_ids
from promedical_data.labelled import Label, LabelledPrompt, LabelledResponse, Preference
from promedical_data.reading import read
from promedical_data.report import FileFormat
from promedical_data.writing import write

FORMATS: tuple[FileFormat, ...] = ("criteria", "pairs", "healthbench")
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cf"]), max_size=9).map("a{} b".format)
VOTES = st.lists(st.booleans(), min_size=1, max_size=3).map(tuple)
WEIGHTS = st.floats(min_value=0.5, max_value=9) | st.integers(1, 9)


@st.composite
def criteria(draw: st.DrawFn, *, weighted: bool = False) -> tuple[Criterion, ...]:
    """Some criteria; with `weighted`, each of proficiency has a weight, as HealthBench needs it."""
    found = []
    for name in draw(st.lists(TEXTS, min_size=1, max_size=3, unique=True)):
        dimension = draw(st.sampled_from(Dimension))
        safety = dimension is Dimension.SAFETY
        polarity = Polarity.NEGATIVE if safety else draw(st.sampled_from(Polarity))
        weights = WEIGHTS if weighted else st.none() | WEIGHTS
        weight = draw(weights) if dimension is Dimension.PROFICIENCY else None
        text = draw(TEXTS)
        found.append(Criterion(id=name, text=text, dimension=dimension, polarity=polarity, weight=weight))
    return tuple(found)


@st.composite
def responses(draw: st.DrawFn, asked: tuple[Criterion, ...]) -> tuple[LabelledResponse, ...]:
    return tuple(
        LabelledResponse(id=name, text=draw(TEXTS), labels={each.id: draw(LABELS) for each in draw(subsets(asked))})
        for name in draw(st.lists(TEXTS, max_size=3, unique=True))
    )


def subsets(asked: tuple[Criterion, ...]) -> st.SearchStrategy[list[Criterion]]:
    return st.lists(st.sampled_from(asked), unique_by=lambda criterion: criterion.id)


LABELS = st.builds(Label, met=st.booleans(), kind=st.sampled_from(["llm", "physician"]), votes=VOTES)


@st.composite
def prompts(draw: st.DrawFn, file_format: FileFormat) -> LabelledPrompt:
    asked = draw(criteria(weighted=file_format == "healthbench"))
    made = LabelledPrompt(
        id=draw(TEXTS),
        source=draw(TEXTS),
        turns=(*draw(st.lists(TURNS, max_size=2)), Message(role="user", content=draw(TEXTS))),
        criteria=asked,
        responses=draw(responses(asked)),
    )
    match file_format:
        case "pairs":
            return as_pair(draw, made)
        case "healthbench":
            return as_graded(draw, made)
    return made


TURNS = st.builds(Message, role=st.sampled_from(["system", "user", "assistant"]), content=TEXTS)


def as_pair(draw: st.DrawFn, made: LabelledPrompt) -> LabelledPrompt:
    chosen, rejected = draw(st.lists(TEXTS, min_size=2, max_size=2, unique_by=lambda text: " ".join(text.split())))
    sides = draw(st.permutations(["chosen", "rejected"]))
    preferred = [each for each in made.criteria if draw(st.booleans())]
    return replace(
        made,
        responses=(LabelledResponse(id="chosen", text=chosen), LabelledResponse(id="rejected", text=rejected)),
        preferences=tuple(Preference(criterion=each.id, winner=sides[0], loser=sides[1]) for each in preferred),
    )


def as_graded(draw: st.DrawFn, made: LabelledPrompt) -> LabelledPrompt:
    names, texts = [each.id for each in made.criteria], [each.text for each in made.criteria]
    ids = dict(zip(names, criterion_ids(texts), strict=True))
    kind = draw(st.sampled_from(["llm", "physician"]))
    return replace(
        made,
        criteria=tuple(replace(each, id=ids[each.id]) for each in made.criteria),
        responses=tuple(
            replace(
                each,
                labels={
                    ids[c]: Label(met=label.met, kind=kind, votes=(label.met,)) for c, label in each.labels.items()
                },
            )
            for each in made.responses
        ),
    )


@pytest.mark.parametrize("file_format", FORMATS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_write_and_read_gives_the_same(tmp_path, file_format, data):
    one = prompts(file_format)
    given_ = data.draw(st.lists(one, min_size=1, max_size=3, unique_by=lambda prompt: prompt.id))
    path = tmp_path / data.draw(st.sampled_from(["data.jsonl", "data.jsonl.gz"]))
    write(given_, path, file_format)
    result = read(path, file_format, responses_needed=False)
    assert result.prompts == tuple(given_)
    assert {entry.reason for entry in result.report.skipped} <= {"is a tie"}


A_PAIR = a_prompt(
    "p1",
    [a_criterion("c")],
    [a_response("chosen"), a_response("rejected")],
    [Preference(criterion="c", winner="chosen", loser="rejected")],
)
LABELLED = a_prompt("p1", [a_criterion("c")], [a_response("r", {"c": True})])


GRADED = a_prompt(
    "p1", [a_criterion(criterion_ids(["States x."])[0], Dimension.EXCELLENCE, text="States x.")], [a_response("r")]
)


@pytest.mark.parametrize(("file_format", "prompt"), list(zip(FORMATS, (LABELLED, A_PAIR, GRADED), strict=True)))
def test_write_gzips_by_the_ending(tmp_path, file_format, prompt):
    plain, zipped = tmp_path / "data.jsonl", tmp_path / "data.jsonl.gz"
    for path in (plain, zipped):
        write([prompt], path, file_format)
    assert gzip.decompress(zipped.read_bytes()) == plain.read_bytes()
    assert read(plain).prompts == read(zipped).prompts == (prompt,)


@pytest.mark.parametrize(
    ("prompt", "file_format", "reason"),
    [
        (A_PAIR, "criteria", r"its preferences would not be the same; it holds .*no preferences"),
        (LABELLED, "pairs", r"chosen: .*; it holds two responses with the ids"),
        (replace(A_PAIR, responses=(*A_PAIR.responses, a_response("third"))), "pairs", "its responses would not be"),
        (A_PAIR, "healthbench", "have no weight; it holds criteria whose ids are made of their texts"),
        (a_prompt("p1", [a_criterion("c", Dimension.SAFETY)], []), "healthbench", "its criteria would not be the same"),
        (replace(LABELLED, criteria=()), "criteria", "criteria: none is left that can be used"),
        (replace(LABELLED, turns=()), "criteria", "prompt: has no messages"),
        (replace(LABELLED, source=" "), "criteria", "source: is empty"),
        (replace(LABELLED, responses=(LabelledResponse(id="r", text=" "),)), "criteria", "responses .*text: is empty"),
        (replace(LABELLED, responses=(LabelledResponse(id="r", text="\ud800"),)), "criteria", "a lone surrogate"),
        (
            replace(LABELLED, responses=(a_response("r", {"other": True}),)),
            "criteria",
            "its responses would not be the same .*for a criterion that the row does not have",
        ),
    ],
)
def test_write_refuses_what_the_format_cannot_hold_and_leaves_no_file(tmp_path, prompt, file_format, reason):
    with pytest.raises(DataError, match=f"prompt p1: cannot be written in the format {file_format}: .*{reason}"):
        write([prompt], tmp_path / "data.jsonl", file_format)
    assert list(tmp_path.iterdir()) == []


def test_write_refuses_two_prompts_of_one_id_and_none(tmp_path):
    with pytest.raises(DataError, match="prompt p1: has the id of an earlier prompt"):
        write([LABELLED, LABELLED], tmp_path / "data.jsonl", "criteria")
    with pytest.raises(DataError, match="there is no prompt to write"):
        write([], tmp_path / "data.jsonl", "criteria")


def test_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "data.jsonl"
    write([LABELLED], path, "criteria")
    with pytest.raises(DataError):
        write([replace(LABELLED, id="other"), A_PAIR], path, "criteria")
    assert read(path).prompts == (LABELLED,)
    assert list(tmp_path.iterdir()) == [path]


def test_write_says_where_it_cannot_write(tmp_path: Path):
    with pytest.raises(DataError, match=r"absent/data\.jsonl: cannot be written: No such file"):
        write([LABELLED], tmp_path / "absent" / "data.jsonl", "criteria")
