"""The one place that knows every publisher."""

from typing import Final

from promedical_data.errors import DataError
from promedical_data.publishers.argilla import ARGILLA, ARGILLA_HUB
from promedical_data.publishers.healthbench import HEALTHBENCH, HEALTHBENCH_PROFESSIONAL, HEALTHBENCH_TRANSLATED
from promedical_data.publishers.healthbench_meta import HEALTHBENCH_META
from promedical_data.publishers.kqa import KQA, KQA_LABELS
from promedical_data.publishers.label_studio import LABEL_STUDIO
from promedical_data.publishers.llmeval_med import LLMEVAL_MED
from promedical_data.publishers.medsafetybench import MEDSAFETYBENCH
from promedical_data.publishers.openai_batch import OPENAI_BATCH
from promedical_data.publishers.openrubrics import OPENRUBRICS, OPENRUBRICS_PROMPTS
from promedical_data.publishers.own import CRITERIA, PAIRS
from promedical_data.publishers.pancanbench import PANCANBENCH, PANCANBENCH_ANSWERS, PANCANBENCH_GRADES
from promedical_data.publishers.publisher import Publisher
from promedical_data.publishers.rar import RAR
from promedical_data.publishers.rubrichub import RUBRICHUB, RUBRICHUB_PIPELINE
from promedical_data.publishers.simple_evals import SIMPLE_EVALS
from promedical_data.publishers.ultramedical import ULTRAMEDICAL
from promedical_data.publishers.verl import VERL

PUBLISHERS: Final[tuple[Publisher, ...]] = (
    HEALTHBENCH,
    HEALTHBENCH_PROFESSIONAL,
    HEALTHBENCH_TRANSLATED,
    HEALTHBENCH_META,
    SIMPLE_EVALS,
    RAR,
    RUBRICHUB,
    RUBRICHUB_PIPELINE,
    OPENRUBRICS,
    OPENRUBRICS_PROMPTS,
    VERL,
    PANCANBENCH,
    PANCANBENCH_ANSWERS,
    PANCANBENCH_GRADES,
    KQA,
    KQA_LABELS,
    LLMEVAL_MED,
    MEDSAFETYBENCH,
    ULTRAMEDICAL,
    ARGILLA,
    ARGILLA_HUB,
    LABEL_STUDIO,
    OPENAI_BATCH,
    CRITERIA,
    PAIRS,
)

BY_NAME: Final = {publisher.name: publisher for publisher in PUBLISHERS}


def publisher_named(name: str) -> Publisher:
    """The publisher of this name.

    Raises:
        DataError: There is none.
    """
    if name not in BY_NAME:
        raise DataError(f"format {name!r} is unknown; the formats are auto, {', '.join(BY_NAME)}")
    return BY_NAME[name]
