"""The command `promedical-review serve`: the app on a database, or on examples that are not kept."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from promedical_review.opening import expected_errors, opened, told

if TYPE_CHECKING:
    from promedical_review.store.database import Database

Host = Annotated[str, typer.Option(help="Interface to listen on. Any but this machine's own needs --public-url.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")]
PublicUrl = Annotated[
    str | None,
    typer.Option(envvar="PROMEDICAL_REVIEW_PUBLIC_URL", help="Where users find the app by HTTPS, as https://NAME."),
]
Proxies = Annotated[
    str, typer.Option(help="Addresses of proxies whose X-Forwarded-For is believed, separated by commas; * for all.")
]
MetricsPort = Annotated[int | None, typer.Option(min=1, max=65535, help="Port for Prometheus; none by default.")]
MaybeDatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database",
        envvar="PROMEDICAL_REVIEW_DATABASE",
        help="sqlite:///PATH, postgresql://USER:PASSWORD@HOST/NAME, or @FILE that holds it. Not with --demo.",
    ),
]
OidcIssuer = Annotated[
    str | None,
    typer.Option(envvar="PROMEDICAL_REVIEW_OIDC_ISSUER", help="Issuer of OpenID Connect that signs users in too."),
]
OidcClientId = Annotated[
    str | None,
    typer.Option(envvar="PROMEDICAL_REVIEW_OIDC_CLIENT_ID", help="What the issuer calls this app."),
]
OidcClientSecret = Annotated[
    str | None,
    typer.Option(
        envvar="PROMEDICAL_REVIEW_OIDC_CLIENT_SECRET",
        help="@FILE that holds the app's secret at the issuer, or the secret. None for a public client.",
    ),
]
OidcRoleClaim = Annotated[
    str,
    typer.Option(
        envvar="PROMEDICAL_REVIEW_OIDC_ROLE_CLAIM",
        help="Claim with a user's groups; dots lead inwards, as in realm_access.roles.",
    ),
]
OidcRoles = Annotated[
    str | None,
    typer.Option(
        envvar="PROMEDICAL_REVIEW_OIDC_ROLES",
        help='Roles by group, as {"GROUP": "physician"}. Without it only users whom an admin added may sign in.',
    ),
]


@expected_errors()
def serve(  # noqa: PLR0913, PLR0917 - every parameter is an option
    database: MaybeDatabaseUrl = None,
    demo: Annotated[bool, typer.Option("--demo", help="Serve examples from a new database that is not kept.")] = False,  # noqa: FBT002
    host: Host = "127.0.0.1",
    port: Port = 8090,
    public_url: PublicUrl = None,
    proxies: Proxies = "",
    metrics_port: MetricsPort = None,
    oidc_issuer: OidcIssuer = None,
    oidc_client_id: OidcClientId = None,
    oidc_client_secret: OidcClientSecret = None,
    oidc_role_claim: OidcRoleClaim = "groups",
    oidc_roles: OidcRoles = None,
) -> None:
    """Serve the app, until the process is told to end."""
    from promedical_review.errors import InvalidError  # noqa: PLC0415
    from promedical_review.oidc.settings import oidc_settings  # noqa: PLC0415
    from promedical_review.web.serving import Address  # noqa: PLC0415
    from promedical_review.web.serving import serve as run  # noqa: PLC0415

    if demo is (database is not None):
        said = "cannot be used with a database" if demo else "or the address of a database is needed"
        raise InvalidError(f"{said}; give --demo alone, or --database (PROMEDICAL_REVIEW_DATABASE)", "--demo")
    address = Address(host=host, port=port, public_url=public_url, proxies=proxies, metrics_port=metrics_port)
    secret = told(oidc_client_secret, "oidc_client_secret") if oidc_client_secret else None
    oidc = oidc_settings(oidc_issuer, oidc_client_id, secret, oidc_role_claim, oidc_roles)
    with _examples(address.shown) if database is None else opened(database) as found:
        run(found, address, oidc)


@contextmanager
def _examples(shown: str) -> Iterator["Database"]:
    """A database of examples, for as long as it is served; passwords are printed once."""
    from tempfile import TemporaryDirectory  # noqa: PLC0415

    from promedical_review.demo.filling import fill  # noqa: PLC0415
    from promedical_review.store.database import Database  # noqa: PLC0415
    from promedical_review.store.migrating import upgrade as migrate  # noqa: PLC0415

    with TemporaryDirectory() as folder, closing(Database(f"sqlite:///{folder}/demo.db")) as database:
        migrate(database)
        typer.echo(f"Open {shown} and sign in as one of these; nothing is kept after the end:")
        for each in fill(database):
            typer.echo(f"  {each.role:<12} {each.name:<12} {each.password}")
        yield database
