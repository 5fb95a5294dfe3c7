"""What fits the options of the programs: data of every format, recipes, rubrics, and folders that commands made."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import promedical_bench.cli
import promedical_client.cli.app
import promedical_client.cli.data
import promedical_curation.cli
import promedical_review.cli
import promedical_trainer.cli
import published
from fuzzed_commands import Value, junk_file, run, typer_program
from fuzzed_inputs import ENDINGS, Given, as_bytes, document
from promedical_bench.options import TASKS
from promedical_data.plain_yaml import read_plain_yaml
from promedical_data.publishers.catalog import PUBLISHERS
from reviewing import opened, round_file

ROOT: Final = Path(__file__).resolve().parents[1]
PROGRAMS: Final = {
    name: typer_program(name, module.app, module.main)
    for name, module in {
        "promedical": promedical_client.cli.app,
        "promedical-data": promedical_client.cli.data,
        "promedical-bench": promedical_bench.cli,
        "promedical-curate": promedical_curation.cli,
        "promedical-review": promedical_review.cli,
        "promedical-train": promedical_trainer.cli,
    }.items()
}
ITEM: Final = {
    "id": "a",
    "prompt": "q",
    "responses": ["r", "s"],
    "rubric": {"criteria": [{"id": "c", "text": "Is right.", "dimension": "proficiency", "weight": 2}]},
}
QUESTION: Final = {"id": "q1", "instruction": "How much?", "source": "s", "licence": "MIT"}
RUBRIC: Final = json.loads((ROOT / "proto/promedical/rubrics/general-medical@1.json").read_text(encoding="utf-8"))
DATA: Final[Sequence[Sequence[Any]]] = (
    [ITEM],
    *(rows if isinstance(rows, list) else [rows] for _, rows in published.FILES.values()),
)
ROLES: Final = ("difficulty", "category", "candidates", "drafters", "judges")
_RECIPES: Final = {
    "rm": ROOT / "trainer/promedical_trainer/recipes/rm-tiny.yaml",
    "grpo": ROOT / "trainer/promedical_trainer/recipes/grpo-tiny.yaml",
    "curation": ROOT / "clients/curation/promedical_curation/recipes/preference-demo.yaml",
}
RECIPES: Final = {name: [read_plain_yaml(path.read_text(encoding="utf-8"))] for name, path in _RECIPES.items()}


@dataclass(frozen=True)
class World:
    """A service, and folders that commands made with it."""

    url: str
    made: Path

    def fitting(self, program: str, command: tuple[str, ...]) -> Mapping[str, Value]:
        """What fits an option of this name, for this command."""
        data, runs = files(*DATA), spoilt(self.made / "bench")
        known: dict[str, Value] = _WORDS | {
            "url": words(*[self.url] * 9, "ftp://nowhere"),
            "untrained": runs,
            "rubric": files([RUBRIC], endings=(".json", ".toml"), name="mine@1"),
            "endpoints": self._endpoints,
            **dict.fromkeys(
                ("file", "data", "inputs", "files", "answers", "prompts", "responses", "gold", "apart"), data
            ),
            **dict.fromkeys(("runs", "old", "new"), runs),
        }
        known["oracle"] = known["url"]
        if program == "promedical":
            known["files"] = known["rubric"]
            known["to"] = words("mine@1.json", "rubrics", "mine@1.toml")
            known["file"] = _ranked if command == ("rank",) else files([ITEM], [ITEM], *DATA)
        return known | self._of(program, command)

    def _of(self, program: str, command: tuple[str, ...]) -> Mapping[str, Value]:
        if program == "promedical-train":
            kind = command[-1] if command[-1] in RECIPES else "rm"
            return {"recipe": files(RECIPES[kind], endings=(".yaml",)), "data": words("."), "sources": words("folder")}
        if program == "promedical-curate":
            known = {"recipe": files(RECIPES["curation"], endings=(".yaml",)), "rows": files([QUESTION])}
            known |= {"path": spoilt(self.made / "curated"), "data": words(".", "folder"), "file": _round(self.made)}
            return known | {"engine": words("embedded", "spark")}
        if program == "promedical-review":
            there = lambda _: Given("db", folder=self.made / "db", word="sqlite:///{}/review.db")  # noqa: E731
            database = (
                words("sqlite:///folder", "sqlite:///file", "sqlite:///missing.db") if "serve" in command else there
            )
            known = {"source": words("kqa", "labelled", "argilla", "label-studio"), "database": database}
            return known | {"path": _round(self.made) if "round" in command else files(*DATA)}
        return {}

    def _endpoints(self, rng: Random) -> Given:
        return files([{"endpoints": endpoint_roles(self.url)}], endings=(".yaml",))(rng)


def made_with(url: str, here: Path) -> World:
    """A world whose folders are made by the commands themselves."""
    (here / "data.jsonl").write_bytes(as_bytes([published.CRITERIA], ".jsonl"))
    (here / "endpoints.yaml").write_text(json.dumps({"endpoints": endpoint_roles(url)}))
    bench = ["quality", "--task", "promedical", "--data", str(here / "data.jsonl"), "--url", url]
    curated = ["run", str(here / "curated"), "--recipe", "preference-demo", "--endpoints", str(here / "endpoints.yaml")]
    curated += ["--stage", "sources", "--set", "judging.by=judges"]
    for program, line in (
        ("promedical-bench", [*bench, "--output", str(here / "bench")]),
        ("promedical-curate", curated),
    ):
        (here / program).mkdir()
        ended = run(PROGRAMS[program], line, here / program)
        assert ended.code == 0, ended
    (here / "db").mkdir()
    opened(f"sqlite:///{here}/db/review.db").close()
    round_file(here)
    return World(url, here)


def endpoint_roles(url: str) -> dict[str, Any]:
    """An endpoint for every role."""
    return {role: {"base_url": f"{url}/v1", "model": "m", "timeout_s": 2} for role in ROLES}


def files(*rows_of: Sequence[Any], endings: Sequence[str] = ENDINGS, name: str = "given") -> Value:
    """Files of these rows, right or nearly so, in every form."""

    def drawn(rng: Random) -> Given:
        ending = rng.choice(endings)
        return Given(f"{name}{ending}", document(rng, rng.choice(rows_of), ending))

    return drawn


def spoilt(made: Path) -> Value:
    """A folder that a command made, as it is or with one file spoilt."""
    inside = sorted(str(path.relative_to(made)) for path in made.rglob("*") if path.is_file())

    def drawn(rng: Random) -> Given:
        if rng.random() < 0.2:
            return Given(made.name, folder=made)
        name = rng.choice(inside)
        return Given(made.name, _near(rng, (made / name).read_bytes()), made, name)

    return drawn


def words(*known: str) -> Value:
    """One of some words."""
    return lambda rng: rng.choice(known)


def _near(rng: Random, content: bytes) -> bytes:
    """Content with something changed: in its JSON where it is such, and else in its bytes."""
    for ending, parts in ((".json", [content]), (".jsonl", content.splitlines())):
        try:
            return document(rng, [json.loads(part) for part in parts], ending)
        except (ValueError, IndexError):
            continue
    return content[: rng.randrange(len(content) + 1)]


def _round(made: Path) -> Value:
    rows = [json.loads(line) for line in (made / "round-1.jsonl").read_text(encoding="utf-8").splitlines()]
    return files(rows, endings=(".jsonl",))


RANKED: Final = {key: value for key, value in ITEM.items() if key != "id"}
_ranked = files([RANKED], [RANKED], endings=(".json",))

_WORDS: Final[Mapping[str, Value]] = {
    "timeout_s": words("1", "2.5", "-1", "nan"),
    "publisher": words("auto", *(each.name for each in PUBLISHERS), "criterion"),
    "task": words(*TASKS.strip(".").replace(" or ", ", ").split(", ")),
    "output": words("out", "folder", "file", "out/deep", "/dev/full", "table", "jsonl"),
    "to": words("to.jsonl", "to.parquet", "to.jsonl.gz", "to.txt", "missing/to.jsonl", "/dev/full"),
    "out": words("out.jsonl", "out.csv", "out.parquet", "out.json", "out", "file", "/dev/full", "missing/o.csv"),
    "report": words("r.md", "r.json", "missing/r.md", "/dev/full"),
    "columns": words("prompt=question", "response=answer", "prompt=", "=", "rubric=a", "responses=b"),
    "expected_rubrics": words("general-medical@1=abc", "a@1=" + "0" * 64, "a"),
    "left_out": words("errata", "correct", "c1/correct", "/", "nobody"),
    "store": words("sqlite:///store.db", "sqlite:///folder", "sqlite:///file", "sqlite:///missing/x.db"),
    "stage": words("sources", "difficulty", "screens", "x"),
    "only": words("sources", "screens", "x"),
    "settings": words("difficulty.keep=6-9", "take=x", "take=-1", "dedup=null", "nothing=1", "judging.by=judges"),
    "overrides": words("optimisation.seed=1", "optimisation.epochs=x", "name=", "loss.pointwise=-1", "base=nothing"),
    "row_id": words("a", "medmcqa:1"),
    "minutes": words("0", "0.001", "-1", "nan"),
    "seconds": words("1", "0", "x"),
    **dict.fromkeys(("ca_file", "cert_file", "key_file"), junk_file),
    "proficiency_mode": words("hard", "soft"),
    "warm_up": words("0", "0", "0", "x", "-1"),
    "name": words("a", "round-1", "general-medical", ""),
    "role": words("admin", "physician", "king"),
}
