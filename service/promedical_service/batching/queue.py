"""The queue: which trees wait, in which lane, for whom, and which go next. Pure: no clock, no loop.

The two lanes cannot starve each other. Interactive goes first; while bulk waits, it earns a share of every token
that interactive takes, and its next branch goes once it has earned it. Inside a lane, keys take turns by deficit
round robin, so that one key's flood does not hold up another's requests. The unit is a branch: a large tree is
split by response over batches, a small one shares a batch with others.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from promedical.messages import Priority
from promedical_model.tree.token_tree import TokenTree

_QUANTUM_TOKENS = 4096


class Job(Protocol):
    """What can wait: a tree, `taken` branches of which have already gone to the engine."""

    lane: Priority
    key: str
    taken: int

    @property
    def tree(self) -> TokenTree:
        """All of it."""


JobT = TypeVar("JobT", bound=Job)


@dataclass(frozen=True, slots=True)
class Part(Generic[JobT]):
    """Branches `[start, stop)` of a job, taken for one batch."""

    job: JobT
    start: int
    stop: int

    @property
    def tree(self) -> TokenTree:
        """The tree that the engine gets."""
        return self.job.tree.part(self.start, self.stop)


class _Lane(Generic[JobT]):
    """One lane: jobs by key, keys in rotation; `held` are the tokens of each key."""

    def __init__(self) -> None:
        self.jobs: dict[str, deque[JobT]] = {}
        self.held: Counter[str] = Counter()
        self._deficits: dict[str, int] = {}
        self.tokens = 0
        self.count = 0

    def add(self, job: JobT) -> None:
        if job.key not in self.jobs:
            self.jobs[job.key] = deque()
            self._deficits[job.key] = _QUANTUM_TOKENS
        self.jobs[job.key].append(job)
        self._hold(job, remaining_tokens(job))
        self.count += 1

    def head(self) -> JobT:
        """The job whose branch goes next; the lane must not be empty."""
        while self._deficits[key := next(iter(self.jobs))] <= 0:
            self._deficits[key] += _QUANTUM_TOKENS
            self.jobs[key] = self.jobs.pop(key)  # to the end of the rotation
        return self.jobs[key][0]

    def charge(self, job: JobT, cost: int) -> None:
        """Note that the next branch of `job` was taken at this cost; a finished job leaves."""
        self._deficits[job.key] -= cost
        self._hold(job, -job.tree.branches[job.taken].tokens)
        job.taken += 1
        if job.taken == len(job.tree.branches):
            self._hold(job, -len(job.tree.prompt))
            self._leave(job)

    def discard(self, job: JobT) -> None:
        self._hold(job, -remaining_tokens(job))
        self._leave(job)

    def _hold(self, job: JobT, tokens: int) -> None:
        self.tokens += tokens
        self.held[job.key] += tokens

    def _leave(self, job: JobT) -> None:
        self.jobs[job.key].remove(job)
        self.count -= 1
        if not self.jobs[job.key]:
            del self.jobs[job.key], self._deficits[job.key], self.held[job.key]


@dataclass
class JobQueue(Generic[JobT]):
    """All waiting jobs.

    `bulk_share` is the part of tokens that bulk gets while both lanes wait. It must be in (0, 1), or one lane starves.
    """

    bulk_share: float
    _lanes: dict[Priority, _Lane[JobT]] = field(default_factory=lambda: {"interactive": _Lane(), "bulk": _Lane()})
    _earned: float = 0.0

    @property
    def tokens(self) -> int:
        """Unique tokens that wait."""
        return sum(lane.tokens for lane in self._lanes.values())

    def size(self, lane: Priority) -> tuple[int, int]:
        """Jobs and tokens that wait in a lane."""
        return self._lanes[lane].count, self._lanes[lane].tokens

    def ahead(self, lane: Priority, key: str) -> int:
        """Tokens of a lane ahead of what a key adds now: the key's own, and up to as many of every other key."""
        jobs = self._lanes[lane].jobs
        own = self._lanes[lane].held[key] + _QUANTUM_TOKENS
        return min(self._lanes[lane].tokens, own * len(jobs.keys() | {key}))

    def held(self) -> Counter[str]:
        """Tokens that wait, by key."""
        return sum((lane.held for lane in self._lanes.values()), Counter())

    def __bool__(self) -> bool:
        return any(lane.jobs for lane in self._lanes.values())

    def jobs(self) -> list[JobT]:
        """Everything that waits."""
        return [job for lane in self._lanes.values() for jobs in lane.jobs.values() for job in jobs]

    def add(self, job: JobT) -> None:
        """Put a job at the end of its key's turn."""
        self._lanes[job.lane].add(job)

    def discard(self, job: JobT) -> None:
        """Take out a job that nobody waits for any more; this does nothing if all of it was already taken."""
        if job.taken < len(job.tree.branches):
            self._lanes[job.lane].discard(job)
            job.taken = len(job.tree.branches)
            self._forget_wages()

    def take(self, budget_tokens: int, lane: Priority | None = None) -> list[Part[JobT]]:
        """The next batch: branches up to the budget of unique tokens, but at least one if any waits.

        Args:
            budget_tokens: The most unique tokens of the batch.
            lane: The lane of all branches; None to take each branch from the lane whose turn it is.
        """
        starts: dict[int, tuple[JobT, int]] = {}
        used = 0
        while self._lanes[lane].jobs if lane else self:
            job = self._lanes[lane or self.next_lane()].head()
            cost = job.tree.branches[job.taken].tokens + (0 if id(job) in starts else len(job.tree.prompt))
            if starts and used + cost > budget_tokens:
                break
            starts.setdefault(id(job), (job, job.taken))
            self._charge(job, cost)
            used += cost
        return [Part(job, start, job.taken) for job, start in starts.values()]

    def next_lane(self) -> Priority:
        """The lane whose turn it is; something must wait."""
        interactive, bulk = self._lanes["interactive"], self._lanes["bulk"]
        if not bulk.jobs or not interactive.jobs:
            return "interactive" if interactive.jobs else "bulk"
        job = bulk.head()
        due = self._earned >= job.tree.branches[job.taken].tokens * (1 - self.bulk_share)
        return "bulk" if due else "interactive"

    def _charge(self, job: JobT, cost: int) -> None:
        contested = all(lane.jobs for lane in self._lanes.values())
        self._lanes[job.lane].charge(job, cost)
        if contested and job.lane == "interactive":
            self._earned += cost * self.bulk_share
        elif contested:
            self._earned -= cost * (1 - self.bulk_share)
        self._forget_wages()

    def _forget_wages(self) -> None:
        """Let bulk earn while it waits; what it earned is dropped when nothing of it waits any more."""
        if not self._lanes["bulk"].jobs:
            self._earned = 0.0


def remaining_tokens(job: Job) -> int:
    """Unique tokens of the branches that were not taken yet, with their prompt; 0 if all were taken."""
    if job.taken == len(job.tree.branches):
        return 0
    return len(job.tree.prompt) + sum(branch.tokens for branch in job.tree.branches[job.taken :])
