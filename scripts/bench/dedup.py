"""`make bench-dedup`: what dedup finds on MedQuAD, with and without the guard, and how fast it is at 100,000 rows.

MedQuAD says of every question what it is about and of which kind it is. Two questions with the same focus and kind are
the same; two of one kind with another focus are hard negatives. Half of the foci are measured; the guard's word lists
were written on the other half. Nearly all equal questions of MedQuAD differ in capitals only, so a second set adds
questions in our own words.

Vectors are kept in FILE (`--vectors`), so a run that was stopped resumes. The data are those of PROMEDICAL_DATA.
`--write` keeps the figures in docs/results/dedup.json and the curve in docs/results/dedup.svg.
"""

import argparse
import hashlib
import json
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from rich.console import Console

from promedical_curation.dedup.components import neighbours, stand_ins
from promedical_curation.dedup.dedup import Thresholds, normal_form
from promedical_curation.dedup.meaning import meaning_pairs
from promedical_curation.dedup.near import near_pairs
from promedical_curation.embedding.encoder import Vectors
from promedical_curation.embedding.minilm import DIMENSIONS, MiniLM
from promedical_curation.guard.guard import Guard
from promedical_curation.rows import Row
from promedical_curation.sources.catalog import source_named
from promedical_curation.sources.reading import STAGE, read_sources
from promedical_data.measures.figures import COLOURS, INK, new_figure, plain_axes
from scripts.bench.conditions import conditions

RESULTS: Final = Path(__file__).resolve().parents[2] / "docs" / "results"
DATA: Final = "PROMEDICAL_DATA"
FILES: Final = (
    ("medqa", "medqa/test.jsonl"),
    ("medmcqa", "medmcqa/dev.jsonl"),
    ("pubmedqa", "pubmedqa/data/ori_pqal.json"),
    ("dahl", "dahl/questions.csv"),
    ("medquad", "medquad/medquad.jsonl.gz"),
    ("chatdoctor", "chatdoctor/chatdoctor5k.json"),
    ("medinstruct", "medinstruct/MedInstruct-test.jsonl"),
)
REWORDED: Final = {
    "information": "Please tell me more about {}",
    "symptoms": "Which signs does {} have?",
    "treatment": "How is {} treated?",
    "causes": "Why does {} happen, what is the cause?",
    "inheritance": "Is {} hereditary?",
    "exams and tests": "How is the diagnosis of {} made?",
    "prevention": "How can {} be prevented?",
    "outlook": "What is the prognosis of {}?",
    "complications": "What are possible complications of {}?",
}
ASKED: Final = ("What are the early signs of {}?", "Can {} be cured?", "Which doctor should I see for {}?",
                "How common is {}?", "What should I eat with {}?", "Is {} contagious?", "Does {} shorten life?",
                "Can children get {}?", "Which tests find {}?", "How fast does {} progress?")  # fmt: skip
"""What fills up the rows of the speed test, over MedQuAD's foci."""
CURVE: Final = [round(value, 2) for value in np.arange(0.6, 1.0, 0.01)]
REPORTED: Final = (0.7, 0.8, 0.85, 0.9, 0.95)

Label = tuple[str, str]
T = TypeVar("T")


def main() -> int:
    """Measure, print, and keep the results if asked."""
    options = _options()
    console = Console()
    rows = read_sources([(source_named(name), data_folder() / file) for name, file in FILES]).rows
    vectors = KeptVectors(options.vectors, MiniLM(), console)
    load = _load()
    fast = speed(_many(rows, options.rows), vectors)  # first, since the peak of memory never falls
    sets = {"as_published": published(rows), "reworded": [*published(rows), *reworded(rows, options.reworded)]}
    curves = {name: curve(texts, vectors) for name, texts in sets.items()}
    measured = {
        **asdict(conditions("datasketch", "faiss-cpu", "onnxruntime", "tokenizers")),
        "load_before": load,
        "medquad": {name: _reported(texts, curves[name]) for name, texts in sets.items()},
        "speed": fast,
        "load_after": _load(),
    }
    console.print_json(json.dumps(measured))
    if options.write:
        (RESULTS / "dedup.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
        plot(curves).savefig(RESULTS / "dedup.svg", metadata={"Date": None})
    return 0


class KeptVectors:
    """The model, with a file that keeps what it has computed; the rate is that of this run."""

    name = "kept"

    def __init__(self, path: Path | None, model: MiniLM, console: Console) -> None:
        self._path, self._model, self._console = path, model, console
        self._known: dict[str, Any] = {}
        self.computed, self.seconds = 0, 0.0
        if path and path.exists():
            with np.load(path) as kept:
                texts = kept["texts"].tobytes().decode().split("\0")  # an array of texts is as wide as its longest
                self._known = dict(zip(texts, kept["vectors"], strict=True))

    def encode(self, texts: Sequence[str]) -> Vectors:
        """One vector per text."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        for start in range(0, len(new), 4096):
            block, began = new[start : start + 4096], time.perf_counter()
            self._known.update(zip(block, self._model.encode(block), strict=True))
            self.seconds, self.computed = self.seconds + time.perf_counter() - began, self.computed + len(block)
            self._keep()
            self._console.print(
                f"{start + len(block)} of {len(new)} vectors, {self.computed / self.seconds:.0f} a second"
            )
        return np.array([self._known[text] for text in texts], dtype=np.float32).reshape(len(texts), DIMENSIONS)

    def _keep(self) -> None:
        if self._path:
            texts = np.frombuffer("\0".join(self._known).encode(), dtype=np.uint8)
            np.savez(self._path, texts=texts, vectors=np.array(list(self._known.values())))


def published(rows: Sequence[Row]) -> list[tuple[str, Label]]:
    """Questions of the measured half of MedQuAD with their labels."""
    found = ((row.instruction, label_of(row)) for row in rows if row.source == "medquad")
    return [(question, label) for question, label in found if label and _measured(label)]


def reworded(rows: Sequence[Row], count: int) -> list[tuple[str, Label]]:
    """So many of the measured labels, drawn by their hash, in our own words."""
    foci = {label: _note(row)["focus"] for row in rows if (label := label_of(row)) and _measured(label)}
    drawn = sorted((label for label in foci if label[1] in REWORDED), key=_hash)[:count]
    return [(REWORDED[label[1]].format(foci[label]), label) for label in drawn]


def label_of(row: Row) -> Label | None:
    """What MedQuAD says that a question is about: its focus, however it is written, and its kind."""
    note = _note(row)
    return (normal_form(note["focus"]), note["qtype"]) if note.get("focus") and note.get("qtype") else None


def curve(texts: Sequence[tuple[str, Label]], vectors: KeptVectors) -> dict[str, list[dict[str, float]]]:
    """Precision and recall over pairs of rows at each threshold, with and without the guard."""
    labels: dict[str, Counter[Label]] = {}
    first: dict[str, str] = {}
    for text, label in texts:
        labels.setdefault(normal_form(text), Counter())[label] += 1
        first.setdefault(normal_form(text), text)
    groups, questions = list(labels.values()), list(first.values())
    pairs = list(meaning_pairs(vectors.encode(questions), threshold=CURVE[0], exact_up_to=len(questions)))
    guard = Guard(questions)
    counts = np.array([(pair.score, *_between(groups[pair.one], groups[pair.other])) for pair in pairs])
    passed = np.array([guard.difference(pair.one, pair.other) is None for pair in pairs])
    equal = np.sum([_within(group) for group in groups], axis=0)
    all_same = sum(count * (count - 1) / 2 for count in Counter(label for _, label in texts).values())
    return {
        name: [_point(counts[kept & (counts[:, 0] >= least)], equal, all_same, least) for least in CURVE]
        for name, kept in (("guard", passed), ("no_guard", np.ones(len(pairs), dtype=bool)))
    }


def speed(questions: Sequence[str], vectors: KeptVectors) -> dict[str, Any]:
    """Rows a second and the peak of memory after each step."""
    limits = Thresholds()
    steps: dict[str, dict[str, Any]] = {}

    def timed(name: str, run: Callable[[], T]) -> T:
        began = time.perf_counter()
        result = run()
        steps[name] = {"rows_per_s": round(len(questions) / (time.perf_counter() - began)), "peak_mb": peak_mb()}
        return result

    normal = timed("normalise", lambda: [hashlib.sha256(normal_form(text).encode()).digest() for text in questions])
    near = timed("near", lambda: list(near_pairs([normal_form(text) for text in questions], threshold=limits.jaccard)))
    found = vectors.encode(questions)
    rate = round(vectors.computed / vectors.seconds, 1) if vectors.computed else None
    steps["vectors"] = {"rows_per_s": rate, "computed_here": vectors.computed, "peak_mb": peak_mb()}
    meaning = timed("meaning", lambda: list(meaning_pairs(found, threshold=limits.cosine, exact_up_to=0)))
    full = timed("meaning_exact", lambda: list(meaning_pairs(found, threshold=limits.cosine, exact_up_to=len(found))))
    guard = Guard(questions)
    pairs = list(chain(near, meaning))
    kept = timed("guard", lambda: [pair for pair in pairs if guard.difference(pair.one, pair.other) is None])
    drops = timed("components", lambda: list(stand_ins(neighbours(kept), min)))
    return {
        "rows": len(questions),
        "distinct": len(set(normal)),
        "pairs": {"near": len(near), "meaning": len(meaning), "after_guard": len(kept), "drops": len(drops)},
        "found_by_lists": round(len(meaning) / max(1, len(full)), 4),
        "steps": steps,
    }


def plot(curves: Mapping[str, Mapping[str, Sequence[Mapping[str, float]]]]) -> Any:
    """Precision and recall against the threshold, a panel per set."""
    figure = new_figure(width=9, height=3.6)
    titles = {"as_published": "MedQuAD as published", "reworded": "with rewordings"}
    for axes, (name, lines) in zip(figure.subplots(1, len(curves), sharey=True), curves.items(), strict=True):
        for colour, (kind, points) in zip(COLOURS, lines.items(), strict=False):
            for measure, style in (("precision", "-"), ("recall", ":")):
                label = f"{measure}, {kind.replace('_', ' ')}"
                axes.plot(CURVE, [point[measure] for point in points], style, color=colour, label=label)
        axes.set(ylim=(0, 1.02), xlabel="cosine from which two questions are one")
        axes.set_title(titles[name], loc="left", fontsize=10, color=INK)
        plain_axes(axes, grid="y")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, ncols=4, loc="outside lower center", fontsize=8, labelcolor=INK)
    return figure


def _many(rows: Sequence[Row], count: int) -> list[str]:
    """So many different questions: those of the sources, then more over MedQuAD's foci."""
    foci = sorted({_note(row)["focus"] for row in rows if _note(row).get("focus")})
    real = (row.instruction for row in rows)
    more = (wording.format(focus) for wording in ASKED for focus in foci)
    return list(dict.fromkeys(chain(real, more)))[:count]


def _between(one: Mapping[Label, int], other: Mapping[Label, int]) -> tuple[float, float, float]:
    """Pairs of rows of two texts: of the same label, of one kind with another focus, and all."""
    pairs = [(a, b, n * m) for a, n in one.items() for b, m in other.items()]
    same = sum(n for a, b, n in pairs if a == b)
    hard = sum(n for a, b, n in pairs if a != b and a[1] == b[1])
    return same, hard, sum(n for _, _, n in pairs)


def _within(group: Mapping[Label, int]) -> tuple[float, float, float]:
    """The same for the rows of one text."""
    total = sum(group.values())
    same = sum(n * (n - 1) / 2 for n in group.values())
    kinds = Counter[str]()
    for (_, kind), n in group.items():
        kinds[kind] += n
    return same, sum(n * (n - 1) / 2 for n in kinds.values()) - same, total * (total - 1) / 2


def _point(counts: Any, equal: Any, all_same: float, least: float) -> dict[str, float]:
    same, hard, total = counts[:, 1:].sum(axis=0) + equal
    return {
        "cosine": least,
        "precision": round(same / total, 4),
        "recall": round(same / all_same, 4),
        "hard_negatives": int(hard),
        "pairs": int(total),
    }


def _reported(texts: Sequence[object], curves: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, Any]:
    chosen = {name: [point for point in points if point["cosine"] in REPORTED] for name, points in curves.items()}
    return {"rows": len(texts), **chosen}


def _measured(label: Label) -> bool:
    """Whether a focus is in the half that is measured."""
    return int(hashlib.sha256(label[0].encode()).hexdigest(), 16) % 2 == 1


def _hash(label: Label) -> str:
    return hashlib.sha256("\0".join(label).encode()).hexdigest()


def _note(row: Row) -> dict[str, Any]:
    note: dict[str, Any] = row.notes[STAGE]
    return note


def peak_mb() -> int:
    """The most memory that this process has had."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _load() -> list[float]:
    return [round(value, 1) for value in os.getloadavg()]


def data_folder() -> Path:
    """Where the sources are."""
    if DATA not in os.environ:
        sys.exit(f"set {DATA} to the folder that holds sources/")
    return Path(os.environ[DATA]) / "sources"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the speed test")
    parser.add_argument("--reworded", type=int, default=2_000, help="questions to ask in other words too")
    parser.add_argument("--vectors", type=Path, help="a .npz file that keeps vectors between runs")
    parser.add_argument("--write", action="store_true", help="keep the results in docs/results")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
