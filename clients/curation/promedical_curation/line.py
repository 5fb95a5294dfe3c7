"""The composition root: which stages a run has, from a recipe and the endpoints that it may ask."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from promedical.messages import ModelInfo
from promedical_client.address import ENVIRONMENT, Address
from promedical_client.errors import MisconfiguredError
from promedical_curation.asking.endpoints import Endpoints, read_endpoints
from promedical_curation.dedup.dedup import Thresholds
from promedical_curation.errors import CurationError
from promedical_curation.pipeline.stages import RowStage, Stage, asks
from promedical_curation.recipes.question_settings import Benchmark, ColumnNames, SourceChoice
from promedical_curation.recipes.recipe import STAGES, Recipe
from promedical_curation.review_rounds import ReviewRound, decisions_of, pool_of
from promedical_curation.rubrics.pool import Pool
from promedical_curation.sources.catalog import NO_LICENCE, Columns, Source, source_named, table_source
from promedical_curation.sources.samples import FILES, FOLDER, sample_test
from promedical_curation.stages import drafting, gating, judging, labelling, reviewing, rubric, vectors
from promedical_curation.stages.candidates import Candidates
from promedical_curation.stages.category import Category, built_in_taxonomy
from promedical_curation.stages.decontaminating import BenchmarkFile, Decontaminating
from promedical_curation.stages.deduplication import Deduplication
from promedical_curation.stages.difficulty import Difficulty, bounds
from promedical_curation.stages.drafting import Drafting, pool_digest
from promedical_curation.stages.input_rows import input_rows
from promedical_curation.stages.pairing import Pairing
from promedical_curation.stages.prompt_files import Prompt, built_in_prompt, read_prompt
from promedical_curation.stages.screens import Screens
from promedical_curation.stages.service import ServiceJudging, model_at
from promedical_curation.stages.source_files import SourceFile, Sources
from promedical_curation.stages.taking import Taking

_EMBEDDING: Final = "embedding"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Stages in their order, and the endpoints that they may ask."""

    stages: tuple[Stage, ...]
    endpoints: Endpoints

    def row_stage(self, name: str) -> RowStage:
        """The stage of this name.

        Raises:
            CurationError: There is none, or it asks no model.
        """
        found = [stage for stage in self.stages if isinstance(stage, RowStage) and asks(stage)]
        for stage in found:
            if stage.name == name:
                return stage
        raise CurationError(f"stage {name}: is not one of those that ask a model: {', '.join(x.name for x in found)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a recipe is put to work on.

    Attributes:
        endpoints: The endpoint file.
        folder: What the recipe's paths are relative to.
        rows: A file of rows, instead of the recipe's sources.
        rounds: The rounds of review so far.
    """

    endpoints: Path
    folder: Path
    rows: Path | None = None
    rounds: Sequence[ReviewRound] = ()


def line_of(recipe: Recipe, given: Given) -> Line:
    """The stages of a recipe.

    Raises:
        CurationError: A file cannot be read, a role has no endpoint, or a value is wrong.
    """
    known = read_endpoints(given.endpoints)
    last = STAGES.index(recipe.until)
    wanted = STAGES[: last + 1]
    builder = _Builder(recipe, given, known)
    return Line(stages=tuple(builder.stages(wanted)), endpoints=known)


class _Builder:
    """Makes one stage after another, and none that is not wanted: each asks for its endpoints and files."""

    def __init__(self, recipe: Recipe, given: Given, endpoints: Endpoints) -> None:
        self._recipe = recipe
        self._given = given
        self._endpoints = endpoints

    def stages(self, wanted: Sequence[str]) -> Iterator[Stage]:
        making = (
            self._source, self._screens, self._dedup, self._decontamination, self._take, self._difficulty,
            self._category, self._candidates, self._drafting, self._rubric, self._verdicts, gating.gating,
            self._review, self._final_verdicts, self._labels, self._pairs,
        )  # fmt: skip
        for _, make in zip(wanted, making, strict=False):
            stage = make()
            if stage is not None:
                yield stage

    def _source(self) -> Stage:
        if self._given.rows is not None:
            return input_rows(self._given.rows)
        return Sources([_source_file(each, self._given.folder) for each in self._recipe.sources]).stage

    def _screens(self) -> Stage | None:
        wanted = self._recipe.screens
        return None if wanted is None else Screens(languages=wanted.languages).stage

    def _dedup(self) -> Stage | None:
        wanted = self._recipe.dedup
        if wanted is None:
            return None
        thresholds = Thresholds(jaccard=wanted.jaccard, cosine=wanted.cosine, guard=wanted.guard)
        return Deduplication(thresholds=thresholds, vectors=self._vectors(wanted.vectors)).stage

    def _decontamination(self) -> Stage | None:
        wanted = self._recipe.decontamination
        if wanted is None:
            return None
        return Decontaminating(
            tests=tuple(_benchmark_file(each, self._given.folder) for each in wanted.benchmarks),
            vectors=None if wanted.vectors == "none" else self._vectors(wanted.vectors),
            containment=wanted.containment,
            cosine=wanted.cosine,
        ).stage

    def _take(self) -> Stage | None:
        return None if self._recipe.take is None else Taking(count=self._recipe.take).stage

    def _difficulty(self) -> Stage:
        easiest, hardest = bounds(self._recipe.difficulty.keep)
        endpoint, prompt = self._endpoints.one("difficulty"), self._prompt("difficulty")
        return Difficulty(endpoint=endpoint, prompt=prompt, easiest=easiest, hardest=hardest).stage

    def _category(self) -> Stage:
        endpoint, prompt = self._endpoints.one("category"), self._prompt("category")
        return Category(endpoint=endpoint, prompt=prompt, taxonomy=built_in_taxonomy()).stage

    def _candidates(self) -> Stage:
        wanted, endpoints = self._recipe.candidates, self._endpoints.all("candidates")
        return Candidates(endpoints=endpoints, prompt=self._prompt("candidate"), max_tokens=wanted.max_tokens).stage

    def _drafting(self) -> Stage:
        return Drafting(
            endpoints=self._endpoints.all("drafters"),
            prompt=self._prompt("drafting"),
            pool=drafters_pool(self._recipe, self._given.rounds),
            **asdict(self._recipe.drafting),
        ).stage

    def _rubric(self) -> Stage:
        return rubric.Rubric(same=self._recipe.rubric.same).stage

    def _verdicts(self) -> Stage:
        return self._judged(rubric.NAME, judging.NAME, None)

    def _review(self) -> Stage:
        return reviewing.Reviewing(decisions=decisions_of(self._given.rounds)).stage

    def _final_verdicts(self) -> Stage:
        earlier = judging.Earlier(rubric=rubric.NAME, verdicts=judging.NAME)
        return self._judged(reviewing.NAME, judging.FINAL, earlier)

    def _judged(self, criteria: str, name: str, earlier: judging.Earlier | None) -> Stage:
        wanted = self._recipe.judging
        if wanted.by == "service":
            fingerprint = self._service_model.model.fingerprint
            return ServiceJudging(
                address=self._service, fingerprint=fingerprint, rubric=criteria, name=name, earlier=earlier
            ).stage
        return judging.Judging(
            endpoints=self._endpoints.all("judges"),
            prompt=self._prompt("judging"),
            rubric=criteria,
            name=name,
            earlier=earlier,
            max_tokens=wanted.max_tokens,
            most_characters=wanted.most_characters,
        ).stage

    def _labels(self) -> Stage:
        wanted = self._recipe.labels
        return labelling.Labelling(
            rubric=reviewing.NAME,
            verdicts=judging.FINAL,
            by=self._recipe.judging.by,
            least=wanted.least,
            uncertain=wanted.uncertain,
        ).stage

    def _pairs(self) -> Stage:
        return Pairing(judges=self._judges()).stage

    def _judges(self) -> tuple[str, ...]:
        """Who judges, as pairs say it: models, or the service with what it says about itself."""
        if self._recipe.judging.by == "judges":
            return tuple(endpoint.model for endpoint in self._endpoints.all("judges"))
        found = self._service_model
        return (f"{found.model.name} {found.model.fingerprint} ({found.status})",)

    @property
    def _service(self) -> Address:
        """Where the service is and what it takes to call it, as the environment says."""
        said = {name: value for name, variable in ENVIRONMENT.items() if (value := os.environ.get(variable))}
        try:
            return Address(**said)
        except MisconfiguredError as error:
            raise CurationError(
                f"judging.by is service, and the environment does not say where it is: {error}"
            ) from None

    @cached_property
    def _service_model(self) -> ModelInfo:
        return model_at(self._service)

    def _vectors(self, kind: str) -> vectors.Vectors:
        return vectors.minilm() if kind == "minilm" else vectors.served(self._endpoints.one(_EMBEDDING))

    def _prompt(self, name: str) -> Prompt:
        text, file = getattr(self._recipe.prompts, name), getattr(self._recipe.prompt_files, name)
        if text is not None:
            if not text.strip():
                raise CurationError(f"prompts.{name}: is empty; give a text, or leave it out for the package's")
            return Prompt(name=name, text=text.strip())
        return built_in_prompt(name) if file is None else read_prompt(name, self._given.folder / file)


def drafters_pool(recipe: Recipe, rounds: Sequence[ReviewRound]) -> Pool:
    """The corrected rubrics that drafters may see; none if they see none, so that no correction changes a draft."""
    return pool_of(rounds) if recipe.drafting.examples else Pool(())


def decided_parts(recipe: Recipe, rounds: Sequence[ReviewRound]) -> dict[str, dict[str, str]]:
    """What decisions make of the fingerprints of a run's stages: these parts change on purpose."""
    decided = reviewing.Reviewing(decisions=decisions_of(rounds)).stage.config
    pool = pool_digest(drafters_pool(recipe, rounds))
    return {drafting.NAME: {"config.pool": pool}, reviewing.NAME: {f"config.{name}": decided[name] for name in decided}}


def _source_file(choice: SourceChoice, folder: Path) -> SourceFile:
    if choice.columns is not None:
        columns = _columns(choice.columns)
        source = table_source(choice.source, columns, licence=choice.licence or NO_LICENCE)
        return SourceFile(source=source, path=folder / str(choice.path), columns=columns)
    source = source_named(choice.source)
    if choice.path is not None:
        return SourceFile(source=source, path=folder / choice.path)
    if choice.source not in FILES:
        raise CurationError(f"source {choice.source}: has no sample; expected path, or one of {', '.join(FILES)}")
    return SourceFile(source=source, path=FOLDER / FILES[choice.source])


def _benchmark_file(choice: Benchmark, folder: Path) -> BenchmarkFile:
    path = sample_test() if choice.path is None else folder / choice.path
    return BenchmarkFile(name=choice.name, path=path, source=_benchmark_source(choice))


def _benchmark_source(choice: Benchmark) -> Source | None:
    if choice.columns is not None:
        return table_source(choice.name, _columns(choice.columns))
    return None if choice.source is None else source_named(choice.source)


def _columns(names: ColumnNames) -> Columns:
    return Columns(instruction=names.instruction, id=names.id, reference=names.reference)
