"""The oracle as a reward function of RL frameworks: one short module per framework over one `Grader`.

No framework is imported. Configure what a framework calls by environment variables, which `shared_grader`
reads, or give a `Grader` of your own as `grader`.
"""

from promedical_client.integrations.grader import Grader
from promedical_client.integrations.grades import Grade, UnscoredError, scores_of
from promedical_client.integrations.shared import shared_grader

__all__ = ["Grade", "Grader", "UnscoredError", "scores_of", "shared_grader"]
