"""From plain values to the parts of an oracle: engine, renderer, calibration, and what it says of itself.

The one `match` over engines. Blocking; heavy imports happen here, and only those of the engine asked for.
"""

import hashlib
import json
import time
from dataclasses import dataclass, replace
from typing import Final, Literal, assert_never

from promedical.messages import Message, ModelRef
from promedical_model.calibration import Calibration
from promedical_model.prompt import PromptRenderer
from promedical_model.template import CHATML, Template
from promedical_service.engines.base import BranchFailure, Engine, checked
from promedical_service.engines.fake import FakeEngine, fake_renderer

EngineKind = Literal["torch", "fake"]
Dtype = Literal["auto", "float32", "bfloat16"]

CPU_ROW_TOKENS: Final = 3072
"""Long enough to share prompts, short enough that activations stay in the allocator's reuse."""
_WARM_UP_WORDS = 64


class WarmUpError(Exception):
    """The model is loaded but does not score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedOracle:
    """A model that is ready to score.

    Attributes:
        engine: Scores trees.
        renderer: Makes them.
        calibration: Turns logits into verdicts.
        ref: Name, revision and fingerprint.
        status: trained, untrained or fake.
        family: Architecture.
        template: Name and start of the hash.
        licence: Of the weights.
        description: One sentence.
        tokens_per_s: Measured in the warm-up.
    """

    engine: Engine
    renderer: PromptRenderer
    calibration: Calibration
    ref: ModelRef
    status: str
    family: str
    template: str
    licence: str
    description: str
    tokens_per_s: float = 0.0


def load_oracle(
    *, engine: EngineKind, model: str, revision: str | None, dtype: Dtype, threads: int | None, max_batch_tokens: int
) -> LoadedOracle:
    """Load a model into an engine.

    Raises:
        BundleError: The model cannot be used.
    """
    match engine:
        case "torch":
            return _torch_oracle(model, revision, dtype, threads, max_batch_tokens)
        case "fake":
            return _fake_oracle()
        case _:
            assert_never(engine)


async def warmed_up(oracle: LoadedOracle) -> LoadedOracle:
    """Score a small item twice: the first pass initialises kernels, the second measures the speed.

    Raises:
        WarmUpError: The model does not give finite numbers.
    """
    words = " ".join(["warm"] * _WARM_UP_WORDS)
    rendered = oracle.renderer.render([Message(role="user", content=words)], [words, "up"], [words, "up"])
    trees = [tree.tree for tree in rendered.trees]
    for _ in range(2):
        started = time.monotonic()
        scores = await oracle.engine.score(trees)
        seconds = time.monotonic() - started
    branches = [branch for tree in trees for branch in tree.branches]
    results = [checked(branch, result) for branch, result in zip(branches, scores, strict=True)]
    failed = [result for result in results if isinstance(result, BranchFailure)]
    if failed or not trees:
        raise WarmUpError(f"the warm-up failed: {failed[0].reason if failed else 'the model reads too little'}")
    return replace(oracle, tokens_per_s=sum(tree.unique_tokens for tree in trees) / max(seconds, 1e-6))


def _torch_oracle(
    model: str, revision: str | None, dtype: Dtype, threads: int | None, max_batch_tokens: int
) -> LoadedOracle:
    import torch  # noqa: PLC0415 - only this engine needs it
    import transformers  # noqa: PLC0415

    from promedical_model.bundle import open_bundle  # noqa: PLC0415
    from promedical_model.cpu_linear import use_onednn  # noqa: PLC0415
    from promedical_model.loading import load_tree_model  # noqa: PLC0415
    from promedical_service.engines.torch_engine import TorchEngine  # noqa: PLC0415

    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # the log is for events
    if threads is not None:
        torch.set_num_threads(threads)
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    precision = {"auto": torch.bfloat16 if on_gpu else torch.float32}.get(dtype) or getattr(torch, dtype)
    bundle = open_bundle(model, revision)
    weights = load_tree_model(bundle, dtype=precision, device=device)
    use_onednn(weights.decoder)
    runner = TorchEngine(weights, max_row_tokens=max_batch_tokens if on_gpu else CPU_ROW_TOKENS)
    manifest = bundle.manifest
    return LoadedOracle(
        engine=runner,
        renderer=bundle.renderer(),
        calibration=manifest.calibrated,
        ref=_ref(manifest.name, bundle.revision, manifest.template, manifest.calibrated, runner),
        status=manifest.status,
        family=manifest.family,
        template=_named_hash(manifest.template.name, manifest.template.sha256),
        licence=manifest.licence,
        description=manifest.description,
    )


def _fake_oracle() -> LoadedOracle:
    engine = FakeEngine()
    calibration = Calibration()
    return LoadedOracle(
        engine=engine,
        renderer=fake_renderer(),
        calibration=calibration,
        ref=_ref("fake", "0" * 64, CHATML, calibration, engine),
        status="fake",
        family="none",
        template=_named_hash(CHATML.name, CHATML.sha256),
        licence="none",
        description="Scores are a hash of the text and mean nothing; for tests and try-outs",
    )


def _ref(name: str, revision: str, template: Template, calibration: Calibration, engine: Engine) -> ModelRef:
    """The fingerprint changes with anything that may change a score."""
    parts = [revision, template.sha256, calibration.sha256, engine.kind, engine.dtype]
    fingerprint = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
    return ModelRef(name=name, revision=revision, fingerprint=fingerprint, engine=engine.kind, dtype=engine.dtype)


def _named_hash(name: str, sha256: str) -> str:
    return f"{name} {sha256[:12]}"
