"""The comparison of `make ablations`: who puts pairs in order, how far each is from the whole, and its tables."""

import pytest

from labelled import a_criterion, a_prompt, a_response
from promedical.rubric import Dimension
from promedical_data.measures.predictions import Prediction
from scripts.bench.ablations import RESULT, compared, main
from scripts.docs.quality_tables import DIMENSIONS, ablation_tables

CRITERIA = [a_criterion(f"c{n}", dimension) for n, dimension in enumerate(Dimension)]
PROMPTS = [
    a_prompt(
        f"p{number}",
        CRITERIA,
        [
            a_response("good", {each.id: each.dimension is not Dimension.SAFETY for each in CRITERIA}),
            a_response("bad", {each.id: each.dimension is Dimension.SAFETY for each in CRITERIA}, "A longer answer."),
        ],
    )
    for number in range(6)
]
SHARE = {"value": 0.25, "low": 0.125, "high": 0.5}
VETOES = {"whole": {"veto_recall": SHARE, "false_veto_rate": SHARE | {"value": 0.0625}}, "no-safety": {}}
FACTS = {"steps": 40, "pairs": 604, "prompts": 93, "seconds": 480.0}


def said(right):
    """Predictions that put so many of the prompts in the right order."""
    found = {}
    for number, prompt in enumerate(PROMPTS):
        for response in prompt.responses:
            for name, label in response.labels.items():
                met = label.met == (number < right)
                found[prompt.id, response.id, name] = Prediction(logit=float(met), probability=0.5, met=met)
    return found


@pytest.fixture
def found():
    return compared(PROMPTS, {"whole": said(6), "no-criteria": said(6), "no-safety": said(0)})


def test_comparison_holds_every_variant_and_the_longer_answer_against_the_whole(found):
    overall = {name: scores["overall"]["value"] for name, scores in found["scores"].items()}
    assert overall == {"whole": 1.0, "no-criteria": 1.0, "no-safety": 0.0, "longer answer": 0.0}
    assert {name: scores["safety"]["value"] for name, scores in found["over_whole"].items()} == {
        "no-criteria": 0.0,
        "no-safety": -1.0,
    }


def test_table_says_which_differences_are_more_than_chance_and_on_how_many_prompts(found):
    facts = {"recipe": "r", "settings": ["optimisation.max_steps=40"], "split": "dev", "date": "d", "machine": "m"}
    page = ablation_tables({**facts, **found, "training": {"whole": FACTS}, "vetoes": VETOES})
    assert "604 pairs of 93 prompts in 40 steps, 8 minutes. Prompts with pairs: overall 6" in page
    assert page.count("**-1.000 [-1.000, -1.000]**") == len(DIMENSIONS)
    assert "**0.000" not in page
    assert "| longer answer | 0.000 [0.000, 0.000] |" in page
    assert "| whole | 0.250 [0.125, 0.500] | 0.062 [0.125, 0.500] |" in page
    assert page.count("| no-safety |") == 2  # it could not be calibrated


def test_table_of_one_prompt_has_values_without_intervals():
    found = compared(PROMPTS[:1], {"whole": said(6), "no-safety": said(0)})
    facts = {"recipe": "r", "settings": [], "split": "dev", "date": "d", "machine": "m"}
    page = ablation_tables({**facts, **found, "training": {"whole": FACTS}, "vetoes": VETOES})
    assert "| no-safety | 0.000 | 0.000 | 0.000 | 0.000 |" in page


def test_comparison_is_not_written_where_a_variant_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "sys.argv", ["ablate", "--recipe", "rm-tiny", "--data", str(tmp_path), "--output", str(tmp_path)]
    )
    before = RESULT.read_bytes() if RESULT.is_file() else None
    with pytest.raises(SystemExit, match="whole: stopped with exit code 2; see above"):
        main()
    assert (RESULT.read_bytes() if RESULT.is_file() else None) == before
