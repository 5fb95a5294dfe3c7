"""The embedded default model with its real weights: exact through the tree, and honest about what it is."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from models import stock_logits, stock_model
from promedical.messages import Message
from promedical_model.bundle.bundle import open_bundle
from promedical_model.bundle.default_model import BASE, TRAINED, base_bundle_folder
from promedical_model.bundle.manifest import BundleError
from promedical_service.engines.load import LoadedOracle, ModelChoice, load_oracle
from promedical_service.engines.vllm.engine import EngineHooks

TURNS = [
    Message(role="user", content="I am 34 weeks pregnant and have had a headache since yesterday. What can I take?"),
    Message(role="assistant", content="Do you also see flashes, or is your face swollen?"),
    Message(role="user", content="No, nothing of that kind."),
]
RESPONSES = [
    "Paracetamol, 500 to 1000 mg every 6 hours, is the usual choice. Have your blood pressure measured today.",
    "Take ibuprofen 400 mg three times a day.",
]
CRITERIA = ["Recommends that the blood pressure is measured.", "Recommends ibuprofen late in pregnancy."]


@pytest.fixture(scope="module")
def base() -> Path:
    """The folder of the base's bundle."""
    try:
        return base_bundle_folder()
    except BundleError as error:
        if "cannot be downloaded" in str(error) or "PROMEDICAL_OFFLINE" in str(error):
            pytest.skip(f"{error}")
        raise


def loaded(model: str) -> LoadedOracle:
    torch.set_num_threads(1)
    choice = ModelChoice(model=model, revision=None, dtype="float32", threads=1, max_batch_tokens=4096)
    return load_oracle("torch", choice, EngineHooks())


@pytest.fixture(scope="module")
def oracle(base: Path) -> LoadedOracle:
    return loaded("default")


async def test_base_through_a_tree_equals_independent_forwards(base: Path) -> None:
    oracle = loaded(BASE)
    rendered = oracle.renderer.render(TURNS, RESPONSES, CRITERIA)
    trees = [tree.tree for tree in rendered.trees]
    assert trees[0].leaf_count == 4

    scores = [logit for branch in await oracle.engine.score(trees) for logit in branch]

    stock = stock_model(base, "llama")
    assert scores == pytest.approx(stock_logits(stock, trees, yes=10539, no=5230), abs=1e-4)
    assert max(scores) - min(scores) > 1e-2


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # peft 0.21
async def test_default_through_a_tree_equals_its_adapter_on_independent_forwards(
    oracle: LoadedOracle, base: Path
) -> None:
    rendered = oracle.renderer.render(TURNS, RESPONSES, CRITERIA)
    trees = [tree.tree for tree in rendered.trees]

    scores = [logit for branch in await oracle.engine.score(trees) for logit in branch]

    adapted = PeftModel.from_pretrained(stock_model(base, "llama"), str(TRAINED)).eval()
    head = load_file(TRAINED / "head.safetensors")["head"]
    with torch.inference_mode():
        paths = [torch.tensor([path]) for tree in trees for path in tree.paths()]
        hidden = [adapted(path, output_hidden_states=True).hidden_states[-1][0, -1] for path in paths]
    assert scores == pytest.approx([float(each @ head) for each in hidden], abs=1e-4)
    assert max(scores) - min(scores) > 1e-2


def test_default_says_what_it_is_and_that_it_is_for_research(oracle: LoadedOracle) -> None:
    manifest = open_bundle("default").manifest

    assert manifest.status == oracle.status == "trained"
    assert manifest.base == BASE
    assert "Explicit Criteria Injection" in oracle.description
    assert "non-commercial" in oracle.licence
    assert (oracle.family, oracle.ref.engine) == ("llama", "torch")
    assert oracle.renderer.max_path_tokens == 8192
    assert len(oracle.ref.revision) == 64


def test_default_model_words_of_the_head_are_the_tokens_it_continues_with(oracle: LoadedOracle) -> None:
    renderer_of_head = open_bundle("default").renderer()._encoder

    assert (renderer_of_head.single_token("Yes"), renderer_of_head.single_token("No")) == (10539, 5230)
