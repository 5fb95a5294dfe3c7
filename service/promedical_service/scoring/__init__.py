"""The one use case: requests in, judged responses out. It does not know transports, devices or metrics libraries."""

from promedical_service.scoring.scorer import Scorer

__all__ = ["Scorer"]
