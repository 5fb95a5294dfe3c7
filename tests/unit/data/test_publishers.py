"""What each publisher's rows become; the rows are in `published`."""

import copy
import json

import pytest
from converting import converted, prompts_of

import published
from promedical.rubric import Dimension, Polarity
from promedical_data.errors import DataError
from promedical_data.publishers.catalog import PUBLISHERS
from promedical_data.publishers.wording import polarity_of_pitfall
from promedical_data.reading import read


def without(row, key):
    return {name: value for name, value in row.items() if name != key}


def texts(prompt):
    return [turn.content for turn in prompt.turns]


def said(prompt):
    """Criteria by their texts: where they count, which way, and how much."""
    return {c.text: (str(c.dimension), str(c.polarity), c.weight) for c in prompt.criteria}


def labels(response, prompt):
    by_id = prompt.criterion_by_id
    return {by_id[name].text: label.met for name, label in response.labels.items()}


def test_every_publisher_has_an_example():
    assert {publisher.name for publisher in PUBLISHERS} == set(published.FILES)


@pytest.mark.parametrize("name", sorted(published.FILES))
def test_publisher_is_detected_and_every_row_gives_a_prompt(tmp_path, name):
    more = published.given(tmp_path / "given", name)
    report = converted(tmp_path / "out.jsonl", published.written(tmp_path / "in", name), **more)
    assert report.inputs[0].publisher == name
    assert report.prompts >= 1
    assert report.prompts == len(read(tmp_path / "out.jsonl", responses_needed=False).prompts)


@pytest.mark.parametrize("name", sorted(published.FILES))
def test_row_says_its_licence_and_where_it_came_from(tmp_path, name):
    prompts_of(tmp_path, name)
    for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        assert row["licence"]
        assert row["provenance"]["publisher"] == name
        assert row["provenance"]["rows"]


def test_healthbench_keeps_points_axis_tags_and_canary_and_has_completions_as_responses(tmp_path):
    (prompt,) = prompts_of(tmp_path, "healthbench")
    assert [each.id for each in prompt.responses] == ["ideal", "reference-1", "reference-2"]
    assert said(prompt) == {
        "Advises to see a doctor.": ("proficiency", "positive", 7),
        "Recommends antibiotics without an examination.": ("safety", "negative", None),
        "Is short.": ("excellence", "positive", None),
    }
    row = json.loads((tmp_path / "out.jsonl").read_text())
    assert [(each["points"], each["axis"]) for each in row["criteria"]] == [
        (7, "completeness"),
        (-9, "accuracy"),
        (3, "communication_quality"),
    ]
    assert row["canary"] == published.HEALTHBENCH["canary"]
    assert row["example_tags"] == published.HEALTHBENCH["example_tags"]


def test_healthbench_without_completions_has_no_responses(tmp_path):
    (prompt,) = prompts_of(tmp_path, "healthbench", [{**published.HEALTHBENCH, "ideal_completions_data": None}])
    assert prompt.responses == ()


@pytest.mark.parametrize(
    "conversation", [published.PROFESSIONAL["conversation"], published.PROFESSIONAL["conversation"]["messages"]]
)
def test_healthbench_professional_is_read_with_its_physicians_response(tmp_path, conversation):
    (prompt,) = prompts_of(
        tmp_path, "healthbench-professional", [{**published.PROFESSIONAL, "conversation": conversation}]
    )
    assert prompt.id == "hbp-1"
    assert [each.id for each in prompt.responses] == ["physician"]
    assert said(prompt)["States a dose for adults."] == ("safety", "negative", None)


def test_translation_takes_the_translated_turns_and_a_prompt_id_of_its_own(tmp_path):
    (prompt,) = prompts_of(tmp_path, "healthbench-translated")
    assert texts(prompt) == ["J'ai de la fièvre depuis trois jours. Que faire ?"]
    assert prompt.id == f"{published.HEALTHBENCH['prompt_id']}:french"
    assert len(prompt.criteria) == 3


def test_translation_without_rubrics_takes_the_criteria_of_the_original(tmp_path):
    original = published.written(tmp_path / "original", "healthbench")
    (prompt,) = prompts_of(tmp_path, "healthbench-translated", [published.TRANSLATED_BESIDE], prompts=original)
    assert texts(prompt) == ["三日間熱があります。"]
    assert prompt.id.endswith(":jp")
    assert said(prompt)["Advises to see a doctor."] == ("proficiency", "positive", 7)
    assert json.loads((tmp_path / "out.jsonl").read_text())["criteria"][1]["points"] == -9


def test_translation_with_an_untranslated_turn_is_left_out(tmp_path):
    row = copy.deepcopy(published.TRANSLATED)
    row["prompt"] += [{"role": "assistant", "content": "Rest."}, {"role": "user", "content": "And then?"}]
    with pytest.raises(DataError, match=r"prompt.translated_content: is missing in a turn"):
        prompts_of(tmp_path, "healthbench-translated", [row])


def test_healthbench_meta_gathers_the_votes_on_a_completion(tmp_path):
    (prompt,) = prompts_of(tmp_path, "healthbench-meta")
    (response,) = prompt.responses
    assert said(prompt) == {
        "The response is accurate.": ("proficiency", "positive", None),
        "It hedges.": ("proficiency", "positive", None),
    }
    assert [(label.met, label.votes, label.kind) for label in response.labels.values()] == [
        (True, (True, True, False), "physician"),
        (False, (True, False), "physician"),
    ]


def test_simple_evals_gathers_the_answers_to_a_prompt_without_the_samplers_system_message(tmp_path):
    (prompt,) = prompts_of(tmp_path, "simple-evals")
    assert texts(prompt) == [published.USER["content"]]
    assert [each.text for each in prompt.responses] == ["Answer of m1.", "Answer of m2."]
    assert [list(labels(each, prompt).values()) for each in prompt.responses] == [
        [True, False, True],
        [False, True, True],
    ]
    assert {label.kind for each in prompt.responses for label in each.labels.values()} == {"llm"}


def test_simple_evals_gathers_over_files_and_joins_subsets_of_the_criteria(tmp_path):
    one = published.graded("m1", (True, False, True))
    two = published.graded("m2", (False, False, True))
    two["rubric_items"] = two["rubric_items"][:1]
    first = published.written(tmp_path / "a", "simple-evals", published.results(one))
    second = published.written(tmp_path / "b", "simple-evals", published.results(two))
    report = converted(tmp_path / "out.jsonl", first, second)
    (prompt,) = read(tmp_path / "out.jsonl").prompts
    assert [len(each.labels) for each in prompt.responses] == [3, 1]
    assert (report.prompts, report.responses, report.labels) == (1, 2, 4)


def test_simple_evals_with_other_points_for_a_criterion_is_left_out(tmp_path):
    other = published.graded("m2", (False, False, True))
    other["rubric_items"][0] = {**other["rubric_items"][0], "points": 1}
    content = published.results(published.graded("m1", (True, False, True)), other)
    report = converted(tmp_path / "out.jsonl", published.written(tmp_path, "simple-evals", content))
    assert (report.responses, report.inputs[0].left_out) == (1, 1)
    (entry,) = report.inputs[0].skipped
    assert entry.reason == "criteria: one of them counts otherwise in an earlier row of the same prompt"
    assert entry.first == ("metadata.example_level_metadata 2",)


def test_simple_evals_graded_twice_counts_once(tmp_path):
    entry = published.graded("m1", (True, False, True))
    report = converted(
        tmp_path / "out.jsonl", published.written(tmp_path, "simple-evals", published.results(entry, entry))
    )
    assert (report.responses, report.labels) == (1, 3)
    assert [(each.part, each.count) for each in report.inputs[0].skipped] == [("label", 3)]


def test_rar_pitfalls_have_the_polarity_of_their_wording(tmp_path):
    (prompt,) = prompts_of(tmp_path, "rar")
    assert said(prompt) == {
        "Names CT without contrast.": ("proficiency", "positive", 5),
        "Explains its sensitivity.": ("proficiency", "positive", 3),
        "Mentions ultrasound in pregnancy.": ("excellence", "positive", None),
        "Does not mention radiation.": ("proficiency", "negative", 1),
        "Avoids naming MRI as the first choice.": ("proficiency", "positive", 1),
    }
    assert [each.text for each in prompt.responses] == ["A CT without contrast."]


def test_rar_reports_pitfalls_that_nobody_can_read(tmp_path):
    report = converted(tmp_path / "out.jsonl", published.written(tmp_path, "rar"))
    (entry,) = report.inputs[0].skipped
    assert (entry.part, entry.first) == ("criterion", ("line 1, criterion number 6",))
    assert "wording does not say" in entry.reason


def test_rar_with_a_weight_against_its_category_loses_that_criterion(tmp_path):
    row = copy.deepcopy(published.RAR)
    row["rubric"][0]["weight"] = -5
    (prompt,) = prompts_of(tmp_path, "rar", [row])
    assert "Names CT without contrast." not in said(prompt)


@pytest.mark.parametrize(
    ("text", "polarity"),
    [
        ("Does not mention the risk of overcorrection.", "negative"),
        ("Doesn't address allergies.", "negative"),
        ("Fails to state the unit.", "negative"),
        ("Neglects to check the kidneys.", "negative"),
        ("Omits units.", "negative"),
        ("Never mentions placebo.", "negative"),
        ("Not mentioning contraindications.", "negative"),
        ("The response does not adequately explain why.", "negative"),
        ("Recommends an unsafe treatment.", "negative"),
        ("Incorrectly states that the kidney makes insulin.", "negative"),
        ("Confuses type 1 with type 2 diabetes.", "negative"),
        ("Provides an incorrect dose.", "negative"),
        ("Makes no mention of fever.", "negative"),
        ("Avoids rounding too early.", "positive"),
        ("Avoids omitting units.", "positive"),
        ("Does not invent facts.", "positive"),
        ("Does not fail to mention fever.", "positive"),
        ("Does not incorrectly assume an ideal gas.", "positive"),
        ("Does not confuse mass and weight.", "positive"),
        ("Does not include irrelevant information.", "positive"),
        ("The answer must avoid claiming that it is safe.", "positive"),
        ("Should not state that it is inhibited.", "positive"),
        ("Refrains from a diagnosis.", "positive"),
        ("Does not recommend surgery.", None),
        ("Does not suggest that it is safe.", None),
        ("Brevity over completeness.", None),
        ("", None),
    ],
)
def test_polarity_of_a_pitfall_is_that_of_its_first_verb(text, polarity):
    assert polarity_of_pitfall(text) == polarity


def test_rubrichub_takes_the_flat_rubric_and_derives_dimensions(tmp_path):
    (prompt,) = prompts_of(tmp_path, "rubrichub")
    assert said(prompt) == {
        "States the daily limit.": ("proficiency", "positive", 9),
        "Is well organised.": ("excellence", "positive", None),
    }
    assert prompt.id.startswith("rubrichub:")


def test_rubrichub_pipeline_keeps_its_id(tmp_path):
    (prompt,) = prompts_of(tmp_path, "rubrichub-pipeline")
    assert prompt.id == "rubrichub:q-7"


def test_openrubrics_is_a_pair_whose_criteria_are_ties_but_for_the_whole_response(tmp_path):
    (prompt,) = prompts_of(tmp_path, "openrubrics")
    assert said(prompt) == {
        "The response has exactly two sentences.": ("proficiency", "positive", None),
        "The response uses words that a child knows, and no others.": ("excellence", "positive", None),
        "The answer is good.": ("proficiency", "positive", None),
    }
    assert {each.id: each.text for each in prompt.responses}["chosen"] == published.OPENRUBRICS["response_a"]
    assert [each.criterion for each in prompt.preferences] == ["overall"]


@pytest.mark.parametrize("winner", ["B", "b", "Response B", "response_b", "Answer B"])
def test_openrubrics_reads_the_winner_in_any_form(tmp_path, winner):
    (prompt,) = prompts_of(tmp_path, "openrubrics", [{**published.OPENRUBRICS, "winner": winner}])
    assert {each.id: each.text for each in prompt.responses}["chosen"] == published.OPENRUBRICS["response_b"]


@pytest.mark.parametrize("winner", ["tie", "C", "", "A or B"])
def test_openrubrics_without_a_clear_winner_is_left_out(tmp_path, winner):
    with pytest.raises(DataError, match="winner: is neither A nor B"):
        prompts_of(tmp_path, "openrubrics", [{**published.OPENRUBRICS, "winner": winner}])


def test_openrubrics_of_version_1_gives_prompts_with_criteria(tmp_path):
    (prompt,) = prompts_of(tmp_path, "openrubrics-prompts")
    assert len(prompt.criteria) == 2
    assert prompt.responses == ()


NESTED = published.VERL["reward_model"]["rubrics"]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"reward_model": {"rubrics": json.dumps(NESTED)}},
        {"reward_model": json.dumps({"rubrics": NESTED})},
        {"reward_model": {}, "extra_info": {"prompt_id": "hb-9", "reward_model": {"rubrics": NESTED}}},
        {"reward_model": {}, "extra_info": {"prompt_id": "hb-9", "rubrics": NESTED}},
        {"prompt": json.dumps([published.USER])},
    ],
    ids=["nested", "as text", "all as text", "in extra_info", "beside", "prompt as text"],
)
def test_verl_finds_the_rubric_wherever_it_is_nested(tmp_path, change):
    (prompt,) = prompts_of(tmp_path, "verl", [{**published.VERL, **change}])
    assert prompt.id == "hb-9"
    assert said(prompt) == {
        "Advises to see a doctor.": ("proficiency", "positive", 7),
        "Recommends antibiotics.": ("safety", "negative", None),
    }
    assert texts(prompt) == [published.USER["content"]]


def test_verl_reads_criteria_of_rubrics_as_rewards_as_such(tmp_path):
    (prompt,) = prompts_of(tmp_path, "verl", [{**published.VERL, "reward_model": {"rubrics": published.RAR["rubric"]}}])
    assert said(prompt)["Avoids naming MRI as the first choice."] == ("proficiency", "positive", 1)
    assert said(prompt)["Does not mention radiation."] == ("proficiency", "negative", 1)


def test_pancanbench_takes_the_sign_of_the_points(tmp_path):
    (prompt,) = prompts_of(tmp_path, "pancanbench")
    assert said(prompt) == {
        "The response says no.": ("proficiency", "positive", 10),
        "The response names it a cure.": ("safety", "negative", None),
    }


def test_pancanbench_item_that_could_speak_either_way_is_left_out(tmp_path):
    content = copy.deepcopy(published.PANCANBENCH)
    content["questions"][0]["rubric_items"][1]["max_points"] = 5
    (prompt,) = prompts_of(tmp_path, "pancanbench", content)
    assert len(prompt.criteria) == 1


def test_pancanbench_answers_belong_to_the_questions_of_the_prompts(tmp_path):
    (prompt,) = prompts_of(tmp_path, "pancanbench-answers")
    assert [(each.id, each.text) for each in prompt.responses] == [("model-x", "No."), ("model-y", "Yes.")]
    assert len(prompt.criteria) == 2


def test_pancanbench_grades_are_labels_where_they_are_all_or_nothing(tmp_path):
    (prompt,) = prompts_of(tmp_path, "pancanbench-grades")
    found = {each.id: {name: label.met for name, label in each.labels.items()} for each in prompt.responses}
    assert found == {"model-x": {"no": True, "cure": False}, "model-y": {"cure": True}}


def test_pancanbench_grades_of_an_answer_that_is_not_given_are_left_out(tmp_path):
    rows = [{**each, "source": "model-q"} for each in published.PANCANBENCH_GRADES]
    with pytest.raises(DataError, match="source: is a model whose answer the file of prompts does not have"):
        prompts_of(tmp_path, "pancanbench-grades", rows)


def test_kqa_statements_are_stated_or_contradicted(tmp_path):
    (prompt,) = prompts_of(tmp_path, "kqa")
    assert said(prompt) == {
        "The response states or implies: Both together raise the risk of bleeding": ("proficiency", "positive", None),
        "The response contradicts this physician-verified fact: Both together raise the risk of bleeding": (
            "safety",
            "negative",
            None,
        ),
        "The response states or implies: Paracetamol is an alternative": ("excellence", "positive", None),
        "The response contradicts this physician-verified fact: Paracetamol is an alternative": (
            "safety",
            "negative",
            None,
        ),
    }
    assert [each.id for each in prompt.responses] == ["physicians"]


def test_kqa_labels_are_the_majority_with_every_vote(tmp_path):
    (prompt,) = prompts_of(tmp_path, "kqa-labels")
    (response,) = prompt.responses
    assert list(labels(response, prompt).values()) == [True, False, False, True]
    assert [label.votes for label in response.labels.values()] == [
        (True, True, False),
        (False, False, False),
        (False, False, False),
        (True, True, False),
    ]


def test_kqa_questions_and_labels_become_one_row(tmp_path):
    files = [published.written(tmp_path / name, name) for name in ("kqa", "kqa-labels")]
    converted(tmp_path / "out.jsonl", *files)
    (prompt,) = read(tmp_path / "out.jsonl").prompts
    assert len(prompt.criteria) == 4
    assert [len(each.labels) for each in prompt.responses] == [0, 4]


def test_llmeval_med_follows_the_rounds_of_a_group_and_reads_both_forms_of_checklists(tmp_path):
    first, second, ethics = prompts_of(tmp_path, "llmeval-med")
    assert texts(first) == ["一"]
    assert texts(second) == ["一", "答案一", "二"]
    assert said(first) == {
        "说明剂量": ("proficiency", "positive", None),
        "说明风险": ("proficiency", "positive", None),
        "建议就医": ("excellence", "positive", None),
    }
    assert [each.text for each in first.responses] == ["答案一"]
    assert said(ethics) == {"拒绝": ("proficiency", "positive", None), "解释原因": ("excellence", "positive", None)}
    assert ethics.responses == ()


def test_llmeval_med_rows_of_a_later_round_alone_are_left_out(tmp_path):
    rows = published.LLMEVAL_MED["医疗知识"][:2]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = converted(tmp_path / "out.jsonl", path)
    assert (report.prompts, report.inputs[0].left_out) == (1, 1)
    assert report.inputs[0].skipped[0].reason == "round: does not follow the rounds before it in the file"


def test_medsafetybench_answers_do_not_violate_the_one_criterion(tmp_path):
    (prompt,) = prompts_of(tmp_path, "medsafetybench")
    (criterion,) = prompt.criteria
    assert (criterion.dimension, criterion.polarity) == (Dimension.SAFETY, Polarity.NEGATIVE)
    assert [each.labels[criterion.id].met for each in prompt.responses] == [False, False]
    assert {each.labels[criterion.id].kind for each in prompt.responses} == {"construction"}


def test_ultramedical_is_a_pair_on_the_whole_response(tmp_path):
    (prompt,) = prompts_of(tmp_path, "ultramedical")
    assert {each.id: each.text for each in prompt.responses} == {"chosen": "Kidney injury.", "rejected": "None."}
    assert [(each.criterion, each.winner) for each in prompt.preferences] == [("overall", "chosen")]


def test_ultramedical_pairs_of_one_prompt_have_ids_of_their_own(tmp_path):
    other = {**published.ULTRAMEDICAL, "rejected": [{"role": "assistant", "content": "Basophilia."}]}
    assert len({prompt.id for prompt in prompts_of(tmp_path, "ultramedical", [published.ULTRAMEDICAL, other])}) == 2


def test_argilla_answers_are_votes_and_suggestions_stand_in(tmp_path):
    (prompt,) = prompts_of(tmp_path, "argilla")
    assert said(prompt) == {
        "The response is correct.": ("proficiency", "positive", None),
        "The response names a dose that is too high.": ("safety", "negative", None),
    }
    found = [{name: (label.met, label.kind, label.votes) for name, label in r.labels.items()} for r in prompt.responses]
    assert found == [
        {"correct": (True, "human", (True, True, False)), "safety-dose": (True, "llm", (True,))},
        {"correct": (False, "human", (False,)), "safety-dose": (True, "llm", (True,))},
    ]


def test_argilla_folder_is_read_by_its_records(tmp_path):
    published.written(tmp_path / "set", "argilla")
    assert converted(tmp_path / "out.jsonl", tmp_path / "set").responses == 2


def test_argilla_fields_of_other_names_are_named_by_the_user(tmp_path):
    rows = [
        {**row, "fields": {"q": row["fields"]["prompt"], "a": row["fields"]["response"]}} for row in published.ARGILLA
    ]
    with pytest.raises(DataError, match=r"fields.prompt: is missing; name another field with --column"):
        prompts_of(tmp_path, "argilla", rows)
    (prompt,) = prompts_of(tmp_path, "argilla", rows, columns={"prompt": "q", "response": "a"})
    assert len(prompt.responses) == 2


def test_argilla_without_settings_says_how_to_export(tmp_path):
    path = published.written(tmp_path, "argilla")
    (tmp_path / ".argilla" / "settings.json").unlink()
    with pytest.raises(DataError, match=r"settings.json: cannot be read; export the dataset with dataset.to_disk"):
        converted(tmp_path / "out.jsonl", path)


def test_argilla_table_of_the_hub_counts_only_answers_that_were_submitted(tmp_path):
    (prompt,) = prompts_of(tmp_path, "argilla-hub")
    (response,) = prompt.responses
    assert {name: label.votes for name, label in response.labels.items()} == {"correct": (True,)}


def test_argilla_table_of_the_hub_finds_its_settings_above_its_folder(tmp_path):
    path = published.written(tmp_path, "argilla-hub")
    (tmp_path / "data").mkdir()
    path.rename(tmp_path / "data" / "train.jsonl")
    assert converted(tmp_path / "out.jsonl", tmp_path / "data" / "train.jsonl").labels == 1


def test_label_studio_takes_the_majority_of_annotations_that_stand(tmp_path):
    (prompt,) = prompts_of(tmp_path, "label-studio")
    assert {each.id: each.text for each in prompt.responses} == {"chosen": "Rest.", "rejected": "Nothing."}


def test_label_studio_without_a_majority_is_left_out(tmp_path):
    (task,) = copy.deepcopy(published.LABEL_STUDIO)
    del task["annotations"][0]
    with pytest.raises(DataError, match="annotations: choose both answers equally often"):
        prompts_of(tmp_path, "label-studio", [task])


def test_openai_batch_answers_the_given_prompts_and_keeps_their_points(tmp_path):
    name = published.HEALTHBENCH["prompt_id"]
    lines = [
        published.batch_line(name, "Wait.", "See a doctor."),
        published.batch_line(f"{name}#3", "Sleep."),
        published.responses_line(f"{name}-4", "Drink ", "water."),
    ]
    (prompt,) = prompts_of(tmp_path, "openai-batch", lines)
    assert [each.text for each in prompt.responses] == ["Wait.", "See a doctor.", "Sleep.", "Drink water."]
    assert [each.id.rpartition("-")[0] for each in prompt.responses] == ["model-x"] * 3 + ["model-y"]
    row = json.loads((tmp_path / "out.jsonl").read_text())
    assert [each["points"] for each in row["criteria"]] == [7, -9, 3]
    assert row["canary"] == published.HEALTHBENCH["canary"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (published.batch_line("nobody-1", "x"), "is about a prompt that the file of prompts does not have"),
        (published.batch_line("p", "x", status=500), "response: is an error"),
        (published.batch_line("p", "x", reason="length"), "response: was cut off by the limit of tokens"),
        (published.batch_line("p", " "), "response: is empty"),
        ({**published.batch_line("p", "x"), "response": None, "error": {"code": "expired"}}, "lacks response"),
    ],
)
def test_openai_batch_line_that_is_no_answer_is_left_out(tmp_path, line, reason):
    good = published.batch_line(published.HEALTHBENCH["prompt_id"], "Wait.")
    given = published.written(tmp_path / "given", "healthbench")
    content = [good, without(line, "response") if reason == "lacks response" else line]
    report = converted(tmp_path / "out.jsonl", published.written(tmp_path, "openai-batch", content), prompts=given)
    (entry,) = report.inputs[0].skipped
    assert (entry.part, entry.reason, entry.first) == ("row", reason, ("line 2",))


def test_rows_of_answers_without_their_prompts_are_refused(tmp_path):
    with pytest.raises(DataError, match="do not hold their criteria; name a file that does with --prompts"):
        prompts_of(tmp_path, "openai-batch", prompts=None)


def test_our_own_formats_come_back_as_they_were(tmp_path):
    for name in ("criteria", "pairs"):
        (prompt,) = prompts_of(tmp_path / name, name)
        assert (prompt,) == read(tmp_path / name / "in" / f"{name}.jsonl").prompts or prompt.source == name
