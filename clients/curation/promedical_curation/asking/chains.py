"""What would be asked next, by what the store holds: for batch files, which are asked without a server."""

from collections.abc import Iterator, Sequence

from promedical_curation.asking.answers import check_answer
from promedical_curation.asking.failures import AskError, RepairableError
from promedical_curation.asking.repairs import repaired
from promedical_curation.asking.requests import Request
from promedical_curation.asking.store import Store


def chains(requests: Sequence[Request], store: Store, repairs: int) -> Iterator[tuple[Request, bool]]:
    """These requests and their repair turns, as far as the answers before them are known; whether each is answered.

    A request that failed for good counts as answered.
    """
    turns = {request.key: (request, request) for request in requests}
    for turn in range(1, repairs + 2):
        answers, dead = store.answers(list(turns)), store.dead(list(turns))
        following = dict[str, tuple[Request, Request]]()
        for key, (first, request) in turns.items():
            yield request, key in answers or key in dead
            if key not in answers:
                continue
            try:
                check_answer(request, answers[key])
            except RepairableError as problem:
                repair = repaired(first, answers[key], problem, turn)
                following[repair.key] = (first, repair)
            except AskError:
                pass
        turns = following if turn <= repairs else {}
