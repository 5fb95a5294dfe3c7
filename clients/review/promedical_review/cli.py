"""The command `promedical-review`. Heavy imports come after the arguments are read."""

from contextlib import closing

import typer

from promedical_client.cli.program import run_program, takes_version
from promedical_review import commands, transfers
from promedical_review.opening import DatabaseUrl, expected_errors, opened

app = typer.Typer(
    help="Physicians review rubrics and rate answers double-blind.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
takes_version(app)

db = typer.Typer(help="The tables of the database.", no_args_is_help=True)
app.add_typer(db, name="db")
app.add_typer(commands.users, name="users")
app.add_typer(commands.rounds, name="rounds")
app.add_typer(commands.sets, name="sets")
app.add_typer(transfers.imports, name="import")
app.add_typer(transfers.exports, name="export")


@db.command()
@expected_errors()
def upgrade(database: DatabaseUrl) -> None:
    """Bring the tables to this version. Make a backup first."""
    from promedical_review.store.database import Database  # noqa: PLC0415
    from promedical_review.store.migrating import upgrade as migrate  # noqa: PLC0415

    with closing(Database(database)) as opening:
        typer.echo(f"the database is at revision {migrate(opening)}")


@db.command()
@expected_errors()
def check(database: DatabaseUrl) -> None:
    """Check that the tables are of this version; the exit code is 2 if they are not."""
    with opened(database):
        typer.echo("the tables are of this version")


Host = Annotated[str, typer.Option(help="Interface to listen on. Others than this machine's need --public-url.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")]
PublicUrl = Annotated[
    str | None,
    typer.Option(envvar="PROMEDICAL_REVIEW_PUBLIC_URL", help="Where users find the app by HTTPS, as https://NAME."),
]
Proxies = Annotated[
    str, typer.Option(help="Addresses of proxies whose X-Forwarded-For is believed, with commas between; * for all.")
]
MetricsPort = Annotated[int | None, typer.Option(min=1, max=65535, help="Port for Prometheus; none by default.")]
MaybeDatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database",
        envvar="PROMEDICAL_REVIEW_DATABASE",
        help="sqlite:///PATH, or postgresql://USER:PASSWORD@HOST/NAME. Not with --demo.",
    ),
]


@app.command()
@expected_errors()
def serve(
    database: MaybeDatabaseUrl = None,
    demo: Annotated[bool, typer.Option("--demo", help="Serve examples from a new database that is not kept.")] = False,  # noqa: FBT002
    host: Host = "127.0.0.1",
    port: Port = 8090,
    public_url: PublicUrl = None,
    proxies: Proxies = "",
    metrics_port: MetricsPort = None,
) -> None:
    """Serve the app, until the process is told to end."""
    from promedical_review.errors import InvalidError  # noqa: PLC0415
    from promedical_review.web.serving import Address  # noqa: PLC0415
    from promedical_review.web.serving import serve as run  # noqa: PLC0415

    if demo is (database is not None):
        raise InvalidError("give the address of a database, or --demo for examples", "--database")
    address = Address(host=host, port=port, public_url=public_url, proxies=proxies, metrics_port=metrics_port)
    with _examples(address.shown) if database is None else opened(database) as found:
        run(found, address)


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


def main() -> None:
    """Run the command line."""
    run_program(app, "promedical-review", extra="review")
