"""`make judge-kqa`: the project's own service as a judge of curation, against physicians on K-QA.

K-QA's labels are by three physicians each, and no model learnt from them. The service judges every statement of every
answer, as in the stage of the verdicts; the result says how far it agrees with the physicians' majority, how far each
physician does with that of the other two, and how right the labels are that curation would keep at a threshold. The
data are those of PROMEDICAL_DATA. Without `--url`, the service is started with the default model. `--write` keeps the
result in docs/results/judge-kqa.json.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pandas as pd
from rich.console import Console

from promedical.messages import CriterionSpec, RubricSpec, ScoreItem, ScoreResponse
from promedical_client.sync import Client
from promedical_data.labelled import LabelledPrompt
from promedical_data.measures.agreement import agreement
from promedical_data.measures.bootstrap import Bootstrap
from promedical_data.measures.controls import majority
from promedical_data.measures.metrics import POINTWISE
from promedical_data.measures.predictions import Key, Prediction, Predictions, table
from promedical_data.reading import read
from scripts.bench.conditions import conditions
from scripts.bench.dedup import RESULTS, data_folder
from scripts.demo.running_service import running_service

FILE: Final = Path("criteria") / "kqa_physicians.jsonl.gz"
RESULT: Final = RESULTS / "judge-kqa.json"
LEAST: Final = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Thresholds of the surer side from which curation may keep a label."""
_TIMEOUT_S: Final = 3600.0


def main() -> int:
    """Judge, measure, print, and keep the result if asked."""
    options = _options()
    console = Console()
    prompts = read(options.data).prompts
    with _service(options.url, console) as url, Client(url, timeout_s=_TIMEOUT_S) as client:
        said = client.model()
        predictions = predictions_of(prompts, client.score(map(item_of, prompts)))
    measured = {
        **asdict(conditions("scikit-learn")),
        "service": {"model": said.model.name, "fingerprint": said.model.fingerprint, "status": said.status},
        **measure(prompts, predictions),
    }
    console.print_json(json.dumps(measured))
    if options.write:
        RESULT.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    return 0


def item_of(prompt: LabelledPrompt) -> ScoreItem:
    """A question with its answers and statements."""
    criteria = tuple(map(CriterionSpec.of, prompt.criteria))
    texts = tuple(response.text for response in prompt.responses)
    return ScoreItem(id=prompt.id, prompt=prompt.turns, responses=texts, rubric=RubricSpec(criteria=criteria))


def predictions_of(prompts: Sequence[LabelledPrompt], answer: ScoreResponse) -> Predictions:
    """The service's verdicts.

    Raises:
        SystemExit: A response was not scored.
    """
    found: dict[Key, Prediction] = {}
    for prompt, item in zip(prompts, answer.items, strict=True):
        outcomes = item.result.responses if item.result is not None else ()
        if len(outcomes) != len(prompt.responses) or any(each.scores is None for each in outcomes):
            raise SystemExit(f"{prompt.id}: was not scored; a failure is never a score, so nothing is measured")
        for response, outcome in zip(prompt.responses, outcomes, strict=True):
            for each in outcome.scores.criteria if outcome.scores else ():
                key = prompt.id, response.id, each.id
                found[key] = Prediction(logit=each.logit, probability=each.probability, met=each.met)
    return found


def measure(prompts: Sequence[LabelledPrompt], predictions: Predictions) -> dict[str, Any]:
    """All figures, in all and by dimension: what is stated is proficiency and excellence, what is contradicted safety.

    Args:
        prompts: The data, with several votes for each label.
        predictions: The service's verdicts.
    """
    labels = table(prompts, predictions)
    return {
        "data": {"prompts": len(prompts), "labels": len(labels), "met": int(labels["met"].sum())},
        "judge": {name: _against_majority(part) for name, part in _parts(labels).items()},
        # A judge that reads nothing: always the more frequent label of the dimension and polarity.
        "most_frequent_label": {name: _against_majority(part) for name, part in _parts(majority(labels)).items()},
        "physician": _physicians(prompts),
        "kept": [_kept(labels, least) for least in LEAST],
    }


def _against_majority(labels: pd.DataFrame) -> dict[str, Any]:
    ratings = pd.DataFrame({"prompt": labels["prompt"], "first": labels["met"], "second": labels["predicted"]})
    tallies = agreement(ratings) | {
        name: POINTWISE[name](labels) for name in ("balanced_accuracy", "auc_pooled", "ece")
    }
    return {name: asdict(Bootstrap().estimate(tally)) for name, tally in tallies.items()}


def _parts(labels: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {"overall": labels} | {str(name): part for name, part in labels.groupby("dimension")}


def _physicians(prompts: Sequence[LabelledPrompt]) -> dict[str, Any]:
    """Each physician against the others of the same label, where these agree among themselves."""
    ratings = pd.DataFrame(_ratings(prompts), columns=["prompt", "first", "second"])
    return {name: asdict(Bootstrap().estimate(tally)) for name, tally in agreement(ratings).items()}


def _ratings(prompts: Sequence[LabelledPrompt]) -> Iterator[tuple[str, bool, bool]]:
    for prompt in prompts:
        for response in prompt.responses:
            for label in response.labels.values():
                for place, vote in enumerate(label.votes):
                    others = {*label.votes[:place], *label.votes[place + 1 :]}
                    if len(others) == 1:
                        yield prompt.id, others.pop(), vote


def _kept(labels: pd.DataFrame, least: float) -> dict[str, float | int | None]:
    """The labels that are sure enough, and how many of them are right."""
    sure = labels[(labels["probability"] - 0.5).abs() >= least - 0.5]
    right = (sure["met"] == (sure["probability"] >= 0.5)).mean() if len(sure) else None  # noqa: PLR2004 - even odds
    share = round(len(sure) / len(labels), 4)
    return {"least": least, "labels": len(sure), "share": share, "right": None if right is None else round(right, 4)}


@contextmanager
def _service(url: str | None, console: Console) -> Iterator[str]:
    if url is not None:
        yield url
        return
    with running_service(console, ()) as service:
        yield service.grpc_url


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--url", help="a running service; by default one is started with the default model")
    parser.add_argument("--write", action="store_true", help="keep the result in docs/results")
    options = parser.parse_args()
    options.data = data_folder().parent / FILE
    return options


if __name__ == "__main__":
    sys.exit(main())
