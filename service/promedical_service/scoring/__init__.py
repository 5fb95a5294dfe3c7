"""The one use case: requests in, judged responses out. Knows no transport, no device, no metrics library."""

from promedical_service.scoring.scorer import Scorer

__all__ = ["Scorer"]
