"""The learning curve: which prompts are watched, and what is read of a file that several sessions wrote."""

from promedical.messages import Message
from promedical.rubric import Criterion, Dimension
from promedical_data.labelled import Label, LabelledPrompt, LabelledResponse
from promedical_trainer.rm.learning_curve import read_curve, watched
from promedical_trainer.rm.recipe import Curve

GOOD = Criterion(id="good", text="Says rest.", dimension=Dimension.PROFICIENCY)


def prompt(name, met):
    responses = tuple(
        LabelledResponse(id=str(place), text="text", labels={"good": Label(met=each, kind="llm", votes=(each,))})
        for place, each in enumerate(met)
    )
    turns = (Message(role="user", content=name),)
    return LabelledPrompt(id=name, source="x", turns=turns, criteria=(GOOD,), responses=responses)


def test_curve_watches_a_few_prompts_in_which_something_can_be_told_apart():
    mixed = [prompt(f"p{number}", [True, False]) for number in range(9)]
    same = [prompt(f"q{number}", [True, True, True]) for number in range(9)]
    found = watched({"dev": [*same, *mixed], "drills": same}, Curve(prompts=4))

    assert len(found["dev"]) == 4
    assert {each.id[0] for each in found["dev"]} == {"p"}
    assert found["drills"] == ()
    assert watched({"dev": mixed[::-1]}, Curve(prompts=4))["dev"] == found["dev"][::-1]


def test_curve_reads_the_later_line_of_a_step_and_no_half_line(tmp_path):
    path = tmp_path / "curve.jsonl"
    assert read_curve(path) == ()
    path.write_text(
        '{"step": 20, "measured": {"dev": {"overall": 0.5}}}\n'
        '{"step": 10, "measured": {"dev": {"overall": 0.4}}}\n'
        '{"step": 20, "measured": {"dev": {"overall": 0.6}}}\n'
        '{"step": 30, "meas'
    )
    assert [(point.step, point.measured["dev"]["overall"]) for point in read_curve(path)] == [(10, 0.4), (20, 0.6)]
