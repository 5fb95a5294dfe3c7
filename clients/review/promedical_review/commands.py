"""The commands for people, rounds and sets. Heavy imports come after the arguments."""

from typing import Annotated, Final

import typer

from promedical_review.opening import DatabaseUrl, expected_errors, opened

users = typer.Typer(help="People who sign in.", no_args_is_help=True)
rounds = typer.Typer(help="Rounds of rubric review.", no_args_is_help=True)
sets = typer.Typer(help="Sets of bench items.", no_args_is_help=True)

_SYSTEM: Final = "system"

Incomplete = Annotated[bool, typer.Option("--incomplete", help="Close it though work is left; drafts are kept.")]
RoundName = Annotated[str, typer.Argument(help="The round's id, as its file has it.")]
SetName = Annotated[str, typer.Argument(help="The set's name.")]


@users.command(name="add")
@expected_errors()
def add_user(
    name: Annotated[str, typer.Argument(help="What the user signs in with.")],
    role: Annotated[str, typer.Option(help="admin, physician, adjudicator or viewer.")],
    database: DatabaseUrl,
    subject: Annotated[
        str | None,
        typer.Option(help="Who signs in with OIDC: ISSUER|SUBJECT, as the page says that refused the sign-in."),
    ] = None,
    invited: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--invited", help="Who signs in with OIDC, with the e-mail address that NAME is.")
    ] = False,
) -> None:
    """Add a user. A password is made and printed once, unless the user signs in with OIDC."""
    import secrets  # noqa: PLC0415

    from promedical_review.people.users import Users  # noqa: PLC0415

    password = None if subject or invited else secrets.token_urlsafe(12)
    with opened(database) as found:
        made = Users(found).add(name, role, password=password, subject=subject)
    typer.echo(f"added {made.role} {made.name!r}, in files {made.pseudonym}" + (f"; {password=!s}" if password else ""))


@users.command(name="password")
@expected_errors()
def set_password(name: Annotated[str, typer.Argument(help="The user's name.")], database: DatabaseUrl) -> None:
    """Give a user a new password, which is printed once. It ends the user's sessions, and a lock."""
    import secrets  # noqa: PLC0415

    from promedical_review.people.users import Users  # noqa: PLC0415

    password = secrets.token_urlsafe(12)
    with opened(database) as found:
        people = Users(found)
        people.set_password(people.named(name).id, password)
    typer.echo(f"the password of {name!r} is {password}")


@users.command(name="list")
@expected_errors()
def list_users(database: DatabaseUrl) -> None:
    """List the users."""
    from promedical_review.people.users import Users  # noqa: PLC0415

    with opened(database) as found:
        for each in Users(found).every():
            typer.echo(f"{each.name}\t{each.role}\t{each.pseudonym}\t{'active' if each.active else 'not active'}")


@rounds.command(name="list")
@expected_errors()
def list_rounds(database: DatabaseUrl) -> None:
    """List the rounds, and how far they are."""
    from promedical_review.rubric_rounds.rounds import Rounds  # noqa: PLC0415

    with opened(database) as found:
        for each in Rounds(found).every():
            typer.echo(f"{each.name}\t{each.state}\t{each.decided} of {each.rubrics} decided")


@rounds.command(name="close")
@expected_errors()
def close_round(name: RoundName, *, database: DatabaseUrl, incomplete: Incomplete = False) -> None:
    """Close a round."""
    from promedical_review.rubric_rounds.rounds import Rounds  # noqa: PLC0415

    with opened(database) as found:
        known = Rounds(found)
        made = known.close(known.named(name).id, actor=_SYSTEM, incomplete=incomplete)
    typer.echo(f"round {made.name!r} is closed, with {made.decided} of {made.rubrics} decided")


@sets.command(name="list")
@expected_errors()
def list_sets(database: DatabaseUrl) -> None:
    """List the sets, and how many of their items stand where."""
    from promedical_review.bench_items.sets import BenchSets  # noqa: PLC0415

    with opened(database) as found:
        for each in BenchSets(found).every():
            states = ", ".join(f"{count} {state}" for state, count in sorted(each.items.items()))
            typer.echo(f"{each.name}\t{each.state}\t{states}")


@sets.command(name="close")
@expected_errors()
def close_set(name: SetName, *, database: DatabaseUrl, incomplete: Incomplete = False) -> None:
    """Close a set."""
    from promedical_review.bench_items.sets import BenchSets  # noqa: PLC0415

    with opened(database) as found:
        known = BenchSets(found)
        made = known.close(known.named(name).id, actor=_SYSTEM, incomplete=incomplete)
    typer.echo(f"set {made.name!r} is closed")
