"""Tasks that people are given: assignment, leases, drafts, submits. It knows neither rubrics nor answers.

Invariants:
- A task is leased to one user at a time, and is done once; a version of it is stored once, however often it is sent.
- Nobody gets two tasks of one subject, but those that repeat it on purpose.
- What a user sent and could not be stored is a draft of the user's; an expired lease strands no task.
- Every change has its event in the same transaction.
"""
