"""What tokens cost: by the endpoint file, else by the price list that comes with genai-prices."""

from collections.abc import Callable
from typing import TypeAlias

from genai_prices import Usage, calc_price

from promedical_curation.asking.endpoints import Endpoint

Price: TypeAlias = Callable[[int, int], float]
"""Input and output tokens of one call to US dollars."""


def price_of(endpoint: Endpoint) -> Price | None:
    """What calls to an endpoint cost; None if nobody says so.

    The list is asked by the server's address, never by the model's name alone: the same model costs nothing on a
    server of one's own.
    """
    if (prices := endpoint.prices) is not None:
        return lambda given, said: (given * prices.input + said * prices.output) / 1e6

    def listed(given: int, said: int) -> float:
        usage = Usage(input_tokens=given, output_tokens=said)
        return float(calc_price(usage, endpoint.model, provider_api_url=endpoint.base_url).total_price)

    try:
        listed(1, 1)
    except LookupError:
        return None
    return listed
