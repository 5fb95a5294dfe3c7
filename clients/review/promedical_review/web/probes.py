"""Whether the process lives, and whether it can work: its database is there and of this version."""

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from promedical_review.errors import ReviewError
from promedical_review.store.database import Database
from promedical_review.store.migrating import check_schema


class Probes:
    """For Kubernetes and whoever else asks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def router(self) -> APIRouter:
        """The routes."""
        routes = APIRouter()
        routes.add_api_route("/healthz", self.alive, methods=["GET"])
        routes.add_api_route("/readyz", self.ready, methods=["GET"])
        return routes

    def alive(self) -> Response:
        return PlainTextResponse("ok")

    def ready(self) -> Response:
        """503 with the reason, which names the database without its password."""
        try:
            check_schema(self._database)
        except ReviewError as error:
            return PlainTextResponse(str(error), status_code=503)
        return PlainTextResponse("ok")
