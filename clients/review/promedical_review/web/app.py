"""The app put together: the one module that knows every page."""

from collections.abc import Iterator
from typing import Final, Protocol

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp

from promedical_review.bench_items.adjudicating import Adjudicating
from promedical_review.bench_items.rating import Rating
from promedical_review.bench_items.sets import BenchSets
from promedical_review.oidc.provider import Provider
from promedical_review.oidc.settings import OidcSettings
from promedical_review.oidc.sign_in import OidcSignIn
from promedical_review.people.identities import Identities
from promedical_review.people.sessions import Sessions
from promedical_review.people.users import Users
from promedical_review.rubric_rounds.reviewing import Reviewing
from promedical_review.rubric_rounds.rounds import Rounds
from promedical_review.store.database import Database
from promedical_review.web.accounts import AccountPages
from promedical_review.web.adjudicating import AdjudicationPages
from promedical_review.web.assets import ADDRESS, static_files
from promedical_review.web.bench import BenchPages
from promedical_review.web.exclusions import ExclusionPages
from promedical_review.web.identities import IdentityPages
from promedical_review.web.items import ItemPages
from promedical_review.web.probes import Probes
from promedical_review.web.rating import RatingPages
from promedical_review.web.refusals import Refusals
from promedical_review.web.reviewing import ReviewPages
from promedical_review.web.rounds import RoundPages
from promedical_review.web.security import SafeHeaders, SameSiteOnly
from promedical_review.web.sign_in_pace import SignInPace
from promedical_review.web.telemetry import Metrics, Watched
from promedical_review.web.users import UserPages
from promedical_review.web.visits import Door
from promedical_review.web.work import WorkPages, bench_batches, rubric_batches
from promedical_review.work.desk import Desk

MAX_BODY_BYTES: Final = 1 << 20
"""The most that a form or a piece of work may have."""


class Pages(Protocol):
    """Some pages of the app."""

    def router(self) -> APIRouter: ...


def web_app(
    database: Database,
    metrics: Metrics,
    *,
    public_url: str | None = None,
    pace: SignInPace | None = None,
    oidc: OidcSettings | None = None,
) -> ASGIApp:
    """The whole app on one database.

    Args:
        database: Of this version.
        metrics: What is counted.
        public_url: Where users find the app, over HTTPS; None: plain HTTP on this machine.
        pace: How often one address may fail to sign in; None for the default.
        oidc: The issuer that signs users in too; None for passwords only.
    """
    secure = public_url is not None and public_url.startswith("https://")
    app = FastAPI(title="ProMedical review", openapi_url=None, redirect_slashes=False, max_body_size=MAX_BODY_BYTES)
    door, slowed = Door(Sessions(database), secure=secure, oidc=oidc is not None), pace or SignInPace()
    for pages in all_pages(database, door, slowed):
        app.include_router(pages.router())
    if oidc is not None:
        identities = IdentityPages(door, Identities(database), OidcSignIn(Provider(oidc)), slowed, public_url)
        app.include_router(identities.router())
    app.mount(ADDRESS, static_files())
    Refusals(door).install(app)
    return Watched(SafeHeaders(SameSiteOnly(app, public_url=public_url), https=secure), metrics=metrics)


def all_pages(database: Database, door: Door, pace: SignInPace) -> Iterator[Pages]:
    """Every page that there is, but files."""
    users, desk = Users(database), Desk(database)
    rounds, reviewing = Rounds(database), Reviewing(database)
    yield Probes(database)
    yield AccountPages(door, users, pace)
    yield ReviewPages(door, desk, reviewing)
    rating, sets = Rating(database), BenchSets(database)
    yield RatingPages(door, desk, rating)
    yield AdjudicationPages(door, desk, Adjudicating(database))
    yield WorkPages(door, desk, [rubric_batches(rounds, reviewing, desk), bench_batches(sets, rating, desk)])
    yield RoundPages(door, database, rounds)
    yield BenchPages(door, database, sets)
    yield ItemPages(door, database)
    yield UserPages(door, users)
    yield ExclusionPages(door, database)
