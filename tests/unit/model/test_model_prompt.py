"""Rendering: the tree is the flat text token by token, user text never becomes markup, cutting is pure."""

import gzip
import json
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from models import SPECIAL, TEMPLATES, Markup, tiny_tokenizer
from promedical.conversation import parse_prompt
from promedical.messages import Message
from promedical_data.cache import cache_folder
from promedical_model.rendering.prompt import PromptRenderer, Rendered
from promedical_model.rendering.template import BUILT_IN, CHATML, Template
from promedical_model.rendering.text_encoder import TextEncoder
from promedical_model.tree.token_tree import TokenTree

SPLITS = ("dev", "train", "test", "kqa_physicians")
MARKUPS: tuple[Markup, ...] = ("chatml", "llama3")
DATA = Path(os.environ.get("PROMEDICAL_DATA", Path(__file__).parents[4] / "shared" / "data"))

_WORDS = st.sampled_from(
    ["take 500 mg", "\n", "\n\n", " ", "  ", "\t", "é", "e\u0301", "\u0301", "用药", "👩‍⚕️", "\u200d", "1234567", "Yes",
     "Criterion: ", "{content}", "{response}", "{criterion}", "user", "assistant\n", "<|", "|>", "'s", "\u00a0", "\r\n"]
)  # fmt: skip
_TEXT = st.one_of(st.text(st.characters(exclude_categories=("Cs",)), max_size=12), st.lists(_WORDS).map("".join))
_HOSTILE = st.lists(
    st.one_of(_WORDS, st.sampled_from([token for tokens in SPECIAL.values() for token in tokens])),
    min_size=1,
    max_size=6,
).map("".join)
_ROLES = st.sampled_from(["system", "user", "assistant"])


def turns_of(text: st.SearchStrategy[str]) -> st.SearchStrategy[list[Message]]:
    return st.lists(st.builds(Message, role=_ROLES, content=text), min_size=1, max_size=4)


@cache
def renderer(markup: Markup = "chatml", limit: int = 4096) -> PromptRenderer:
    return PromptRenderer(TEMPLATES[markup], TextEncoder(tiny_tokenizer(markup)), limit)


each_template = pytest.mark.parametrize("template", BUILT_IN, ids=lambda template: template.name)


def markup_of(template: Template) -> Markup:
    return "chatml" if template.name.startswith("chatml") else "llama3"


@cache
def renderer_of(template: Template) -> PromptRenderer:
    return PromptRenderer(template, TextEncoder(tiny_tokenizer(markup_of(template))), 4096)


def flat_text(template: Template, turns: Sequence[Message], response: str, criterion: str) -> str:
    """The whole path as one string, as the template's docstring says."""
    rendered = [turn.content.join(template.turn.replace("{role}", turn.role).split("{content}")) for turn in turns]
    return (
        template.begin
        + template.between.join(rendered)
        + response.join(template.response.split("{response}"))
        + criterion.join(template.criterion.split("{criterion}"))
    )


def flat_ids(tokenizer: Tokenizer, template: Template, *texts: Any) -> tuple[int, ...]:
    return tuple(tokenizer.encode(flat_text(template, *texts), add_special_tokens=False).ids)


def only_tree(rendered: Rendered) -> TokenTree:
    assert (len(rendered.trees), rendered.too_long) == (1, {})
    return rendered.trees[0].tree


@each_template
@settings(max_examples=40)
@given(
    turns=turns_of(_TEXT),
    responses=st.lists(_TEXT, min_size=1, max_size=3),
    criteria=st.lists(_TEXT, min_size=1, max_size=3),
)
def test_render_equals_the_flat_text_token_by_token(
    template: Template, turns: list[Message], responses: list[str], criteria: list[str]
) -> None:
    tree = only_tree(renderer_of(template).render(turns, responses, criteria))

    expected = [
        flat_ids(tiny_tokenizer(markup_of(template)), template, turns, response, criterion)
        for response in responses
        for criterion in criteria
    ]
    assert tree.paths() == expected


@each_template
@settings(max_examples=40)
@given(turns=turns_of(_HOSTILE), response=_HOSTILE, criterion=_HOSTILE)
def test_render_never_turns_user_text_into_control_tokens(
    template: Template, turns: list[Message], response: str, criterion: str
) -> None:
    markup = markup_of(template)
    tokenizer = tiny_tokenizer(markup)
    control = {tokenizer.token_to_id(token) for token in SPECIAL[markup]}

    (path,) = only_tree(renderer_of(template).render(turns, [response], [criterion])).paths()

    empty = [Message(role=turn.role, content="") for turn in turns]
    bare = flat_ids(tokenizer, template, empty, "", "")
    assert [i for i in path if i in control] == [i for i in bare if i in control]
    assert tokenizer.decode(path, skip_special_tokens=False) == flat_text(template, turns, response, criterion)


@each_template
def test_templates_put_the_criterion_last_and_end_shared_nodes_with_a_special_token(template: Template) -> None:
    assert "{criterion}" not in template.begin + template.turn + template.between + template.response
    assert template.turn.endswith(("<|im_end|>", "<|eot_id|>"))
    assert template.response.endswith(("<|im_end|>", "<|eot_id|>"))


def test_second_templates_make_smaller_trees_of_the_same_texts() -> None:
    turns = [Message(role="user", content="Is it safe?")]
    sizes = {}
    for template in BUILT_IN:
        tree = only_tree(renderer_of(template).render(turns, ["Yes.", "No."], ["Short.", "Clear."]))
        sizes[template.name] = tree.unique_tokens
    assert sizes["chatml-criterion@2"] < sizes["chatml-criterion@1"]
    assert sizes["llama3-criterion@2"] < sizes["llama3-criterion@1"]


@pytest.mark.parametrize("attribute", ["turn", "response", "criterion"])
@pytest.mark.parametrize("count", [0, 2])
def test_template_refuses_a_field_that_is_not_there_exactly_once(attribute: str, count: int) -> None:
    parts = {name: getattr(CHATML, name) for name in ("name", "begin", "turn", "between", "response", "criterion")}
    field = {"turn": "{content}"}.get(attribute, f"{{{attribute}}}")
    parts[attribute] = parts[attribute].replace(field, field * count)

    with pytest.raises(ValueError, match=f"{attribute} must hold .* exactly once"):
        Template(**parts)


def test_template_hash_changes_with_its_text() -> None:
    parts = {name: getattr(CHATML, name) for name in ("name", "begin", "turn", "between", "response", "criterion")}

    assert Template(**parts).sha256 == CHATML.sha256
    assert Template(**parts | {"between": " "}).sha256 != CHATML.sha256


# ---- what is too long ----

QUESTION = [Message(role="system", content="Be brief. " * 3), Message(role="user", content="What should I do? " * 20)]
ANSWER = "You should rest, drink water and wait. " * 30
SHORT = "You should rest."
CRITERION = "States the dose."


def lengths(turns: Sequence[Message], response: str, criterion: str) -> tuple[int, int, int]:
    """Tokens of prompt, response and criterion, rendered without a limit."""
    tree = only_tree(renderer().render(turns, [response], [criterion]))
    return len(tree.prompt), len(tree.branches[0].response), len(tree.branches[0].leaves[0])


def test_render_takes_a_path_of_exactly_the_limit_and_refuses_one_token_more() -> None:
    total = sum(lengths(QUESTION, ANSWER, CRITERION))

    fits = renderer(limit=total).render(QUESTION, [ANSWER], [CRITERION])
    over = renderer(limit=total - 1).render(QUESTION, [ANSWER], [CRITERION])

    assert (len(fits.trees), fits.too_long, fits.truncated) == (1, {}, frozenset())
    assert (over.trees, set(over.too_long)) == ((), {0})


def test_render_says_how_long_a_refused_response_is() -> None:
    prompt, response, _ = lengths(QUESTION, ANSWER, CRITERION)
    longest = lengths(QUESTION, ANSWER, CRITERION * 5)[2]
    limit = prompt + lengths(QUESTION, SHORT, CRITERION)[1] + longest

    rendered = renderer(limit=limit).render(QUESTION, [SHORT, ANSWER], [CRITERION, CRITERION * 5])

    refused = rendered.too_long[1]
    assert (refused.prompt_tokens, refused.response_tokens, refused.criterion_tokens) == (prompt, response, longest)
    assert (refused.limit, refused.at_least) == (limit, False)
    assert f"needs {prompt + response + longest} tokens" in refused.message
    assert "at least" not in refused.message
    assert [tree.responses for tree in rendered.trees] == [(0,)]


@settings(max_examples=30)
@given(
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=5),
    truncation=st.sampled_from(["none", "response_end", "prompt_start"]),
    limit=st.integers(40, 250),
)
def test_render_puts_every_response_in_one_tree_or_in_too_long(sizes: list[int], truncation: Any, limit: int) -> None:
    texts = [f"{index} " + "rest " * size for index, size in enumerate(sizes)]

    rendered = renderer(limit=limit).render(QUESTION[1:], texts, [CRITERION], truncation)

    scored = [index for tree in rendered.trees for index in tree.responses]
    assert sorted([*scored, *rendered.too_long]) == list(range(len(texts)))
    assert rendered.truncated <= set(scored)
    for tree in rendered.trees:
        assert len(tree.responses) == len(tree.tree.branches)
        assert all(len(path) <= limit for path in tree.tree.paths())


def test_render_truncates_the_end_of_a_response_and_keeps_all_markup() -> None:
    prompt, response, _ = lengths(QUESTION, ANSWER, CRITERION)
    limit = 400
    whole = only_tree(renderer().render(QUESTION, [ANSWER], [CRITERION]))

    rendered = renderer(limit=limit).render(QUESTION, [ANSWER], [CRITERION], "response_end")

    tree = only_tree(rendered)
    ids, full = tree.branches[0].response, whole.branches[0].response
    removed = prompt + response - (limit - limit // 8)
    tail = len(full) - len(ids) and len(tiny_tokenizer().encode(CHATML.response.split("{response}")[1]).ids)
    assert rendered.truncated == {0}
    assert tree.prompt == whole.prompt
    assert ids == full[: len(full) - tail - removed] + full[len(full) - tail :]
    text = tiny_tokenizer().decode(ids, skip_special_tokens=False)
    before, after = CHATML.response.split("{response}")
    assert text.startswith(before)
    assert text.endswith(after)
    assert ANSWER.startswith(text.removeprefix(before).removesuffix(after))


@pytest.mark.parametrize("markup", MARKUPS)
def test_render_truncates_the_start_of_a_prompt_and_keeps_all_markup(markup: Markup) -> None:
    start = "\n\n" if markup == "llama3" else ""  # in ChatML one token would hold the markup's newline and this one
    texts = start + "Be brief. " * 9, start + "What should I do? \n" * 40
    turns = [Message(role="system", content=texts[0]), Message(role="user", content=texts[1])]
    limit = 200

    rendered = renderer(markup, limit).render(turns, [SHORT], [CRITERION], "prompt_start")

    tree, template = only_tree(rendered), TEMPLATES[markup]
    whole = only_tree(renderer(markup).render(turns, [SHORT], [CRITERION]))
    assert rendered.truncated == {0}
    assert tree.branches == whole.branches
    assert len(tree.prompt) + len(tree.branches[0].response) == limit - limit // 8
    text = tiny_tokenizer(markup).decode(tree.prompt, skip_special_tokens=False)
    head, foot = template.turn.replace("{role}", "user").split("{content}")
    first = template.begin + template.turn.replace("{role}", "system").replace("{content}", "")
    assert text.startswith(first + template.between + head)
    assert text.endswith(foot)
    assert texts[1].endswith(text.removeprefix(first + template.between + head).removesuffix(foot))


@pytest.mark.parametrize("truncation", ["response_end", "prompt_start"])
def test_render_leaves_alone_what_fits_beside_the_reserve(truncation: Any) -> None:
    prompt, response, _ = lengths(QUESTION, SHORT, CRITERION)
    limit = (prompt + response) * 8 // 7 + 8

    rendered = renderer(limit=limit).render(QUESTION, [SHORT, ANSWER], [CRITERION], truncation)

    assert rendered.truncated | set(rendered.too_long) == {1}
    whole = only_tree(renderer().render(QUESTION, [SHORT], [CRITERION]))
    assert (rendered.trees[0].tree.prompt, rendered.trees[0].tree.branches[0]) == (whole.prompt, whole.branches[0])


@settings(max_examples=25)
@given(
    siblings=st.lists(st.sampled_from([SHORT, ANSWER, ANSWER[:300], "x"]), max_size=4),
    criteria=st.lists(st.sampled_from([CRITERION, "x", "Names three drugs."]), min_size=1, max_size=3),
    truncation=st.sampled_from(["response_end", "prompt_start"]),
)
def test_render_cuts_a_response_the_same_whatever_its_company(
    siblings: list[str], criteria: list[str], truncation: Any
) -> None:
    cut = renderer(limit=400)
    alone = only_tree(cut.render(QUESTION, [ANSWER], [CRITERION], truncation))

    among = cut.render(QUESTION, [*siblings, ANSWER], criteria, truncation)

    (tree,) = (tree for tree in among.trees if len(siblings) in tree.responses)
    branch = tree.tree.branches[tree.responses.index(len(siblings))]
    assert (tree.tree.prompt, branch.response) == (alone.prompt, alone.branches[0].response)


@pytest.mark.parametrize("truncation", ["response_end", "prompt_start"])
def test_render_refuses_a_criterion_beyond_the_reserve_instead_of_cutting_more(truncation: Any) -> None:
    long = CRITERION * 40

    rendered = renderer(limit=400).render(QUESTION, [ANSWER, SHORT], [CRITERION, long], truncation)

    assert 0 in rendered.too_long
    assert rendered.too_long[0].criterion_tokens > 400 // 8


def test_render_refuses_a_prompt_that_leaves_no_room_even_for_a_cut_response() -> None:
    prompt = lengths(QUESTION, SHORT, CRITERION)[0]

    rendered = renderer(limit=prompt).render(QUESTION, [ANSWER], [CRITERION], "response_end")

    assert rendered.trees == ()
    assert rendered.too_long[0].prompt_tokens == prompt


def test_render_refuses_huge_texts_without_tokenising_them(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 100
    fresh = PromptRenderer(CHATML, TextEncoder(tiny_tokenizer()), limit)
    longest = max(map(len, tiny_tokenizer().get_vocab()))
    huge = "a" * max(2 * limit * longest, 2**16)  # what is short is tokenised to say exact numbers
    monkeypatch.setattr(TextEncoder, "encode", lambda *_: pytest.fail("tokenised"))

    rendered = fresh.render([Message(role="user", content="?")], [huge], [CRITERION])

    refused = rendered.too_long[0]
    assert refused.at_least
    assert refused.prompt_tokens + refused.response_tokens + refused.criterion_tokens > limit
    assert "needs at least" in refused.message


def test_render_scores_the_siblings_of_a_huge_response_as_if_it_were_not_there() -> None:
    huge = "a" * 10_000_000

    among = renderer(limit=400).render(QUESTION[1:], [huge, SHORT], [CRITERION])
    alone = renderer(limit=400).render(QUESTION[1:], [SHORT], [CRITERION])

    assert set(among.too_long) == {0}
    assert [(tree.tree, tree.responses) for tree in among.trees] == [(only_tree(alone), (1,))]


def test_render_messages_hold_no_user_text() -> None:
    turns = [Message(role="user", content="Confidential " * 30)]

    rendered = renderer(limit=60).render(turns, ["Confidential " * 10], ["Confidential"])

    assert "onfidential" not in rendered.too_long[0].message


def test_text_encoder_counts_a_word_of_several_tokens_as_no_head() -> None:
    encoder = TextEncoder(tiny_tokenizer())

    assert encoder.single_token("Yes") == tiny_tokenizer().token_to_id("Yes")
    with pytest.raises(ValueError, match="needs a single token"):
        encoder.single_token("Perhaps")


def test_text_encoder_leaves_the_tokenizer_it_was_given_as_it_was() -> None:
    tokenizer = Tokenizer.from_str(tiny_tokenizer().to_str())
    before = tokenizer.encode("<|im_end|> x").ids

    TextEncoder(tokenizer)

    assert tokenizer.encode("<|im_end|> x").ids == before


# ---- real prompts ----


def rows(split: str) -> list[dict[str, Any]]:
    path = DATA / "criteria" / f"{split}.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"{path} is absent; set PROMEDICAL_DATA to the folder that holds criteria/")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@cache
def real_tokenizer() -> Tokenizer:
    """The default model's if it was ever converted here, else a tiny one."""
    found = sorted(cache_folder().glob("smollm2-*/tokenizer.json"))
    return Tokenizer.from_file(str(found[0])) if found else tiny_tokenizer()


def paths_by_response(rendered: Rendered) -> dict[int, list[tuple[int, ...]]]:
    (tree,) = rendered.trees
    return {
        index: [tree.tree.prompt + branch.response + leaf for leaf in branch.leaves]
        for index, branch in zip(tree.responses, tree.tree.branches, strict=True)
    }


def test_render_gives_one_branch_to_a_response_however_many_criteria_it_has() -> None:
    criteria = [f"says {number} " * 40 for number in range(60)]
    rendered = renderer(limit=8192).render(QUESTION, [ANSWER, SHORT], criteria)
    assert rendered.trees[0].responses == (0, 1)
    whole = [renderer(limit=8192).render(QUESTION, [text], criteria) for text in (ANSWER, SHORT)]
    assert paths_by_response(rendered) == {g: paths_by_response(alone)[0] for g, alone in enumerate(whole)}
    assert [len(paths) for paths in paths_by_response(rendered).values()] == [60, 60]


@pytest.mark.parametrize("split", SPLITS)
def test_render_of_real_prompts_equals_the_flat_text(split: str) -> None:
    """Every row, with paths that visit each of its responses and criteria."""
    real = PromptRenderer(CHATML, TextEncoder(real_tokenizer()), 10**6)
    for row in rows(split):
        turns = parse_prompt(row["prompt"])
        responses = [response["text"] for response in row["responses"]]
        criteria = [criterion["text"] for criterion in row["criteria"]]
        rendered = real.render(turns, responses, criteria)
        paths = paths_by_response(rendered)
        for step in range(max(len(responses), len(criteria))):
            g, k = step % len(responses), step % len(criteria)
            path = paths[g][k]
            assert path == flat_ids(real_tokenizer(), CHATML, turns, responses[g], criteria[k]), row["id"]


@pytest.mark.parametrize("split", SPLITS)
def test_parse_prompt_reads_every_real_transcript(split: str) -> None:
    for row in rows(split):
        turns = parse_prompt(row["prompt"])
        assert turns[-1].role == "user", row["id"]
        assert "\n\n".join(f"{turn.role}: {turn.content}" for turn in turns) in {
            row["prompt"],
            f"user: {row['prompt']}",
        }, row["id"]
        assert all(turn.content.strip() for turn in turns), row["id"]


def test_prompt_renderer_cuts_text_of_millions_of_characters_where_asked():
    short = PromptRenderer(CHATML, TextEncoder(tiny_tokenizer("chatml")), 200)
    limit = 200 - 200 // 8
    vast = "pain and fever " * 400_000
    by_response = short.render([Message(role="user", content="why")], [vast, "short"], ["is kind"], "response_end")
    assert not by_response.too_long
    assert by_response.truncated == {0}
    (tree,) = by_response.trees
    assert len(tree.tree.prompt) + len(tree.tree.branches[0].response) == limit
    turns = [
        Message(role="user", content=vast),
        Message(role="assistant", content="ok"),
        Message(role="user", content="why"),
    ]
    by_prompt = short.render(turns, ["short"], ["is kind"], "prompt_start")
    assert not by_prompt.too_long
    assert by_prompt.truncated == {0}
    assert short.render(turns, ["short"], ["is kind"]).too_long[0].at_least
