"""policy: the policies that there are, what each says, where two of them differ, and which one rules."""

from datetime import datetime
from typing import Annotated

import typer

from ledger.errors import WrongCall
from ledger.policy import load_policy, shipped_policies
from ledger.policy_diff import difference
from ledger.policy_document import InvalidPolicy, extended_policy, find_policy
from ledger.policy_sheet import sheet
from schemas.policy import ListedPolicy, PolicyList
from streams.cli.adopt import adopt
from streams.cli.exit_codes import FOUND_WRONG
from streams.cli.ledger_here import now, settings_here
from streams.cli.policy_here import IN_FORCE, adopted_policy, named_policy, policy_here, settings_for
from streams.cli.policy_tables import diff_lines, policy_sheet, policy_table
from streams.cli.tables import show, show_json
from streams.settings import load_settings

_NAMES = f"A shipped id, a file, or {IN_FORCE}"

Json = Annotated[bool, typer.Option("--json", help="One document, with the field names of HTTP.")]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Policies: what they say, where they differ, and which rules.", no_args_is_help=True)
    group.command("list")(list_policies)
    group.command("show")(show_policy)
    group.command()(check)
    group.command()(diff)
    group.command()(adopt)
    app.add_typer(group, name="policy")


def list_policies(*, json: Json = False) -> None:
    """The policies that come with the product, and which is in force."""
    settings = settings_here()
    adopted = adopted_policy(settings)
    if adopted is None:
        typer.echo("which policy is in force is not known: no ledger answers, or none was adopted", err=True)
    items = []
    for policy_id in shipped_policies():
        policy = load_policy(policy_id, settings.chips)
        items.append(
            ListedPolicy(
                policy_id=policy.id,
                title=policy.title,
                extends=extended_policy(find_policy(policy_id)),
                policy_sha256=policy.sha256,
                in_force=adopted and policy.sha256 == adopted.sha256,
            )
        )
    found = PolicyList(items=items, in_force_id=adopted and adopted.id, in_force_sha256=adopted and adopted.sha256)
    show_json(found) if json else show(policy_table(found))


def show_policy(
    name: Annotated[
        str | None, typer.Argument(metavar="ID|FILE", help=f"{_NAMES}, which it is if nothing is named.")
    ] = None,
    *,
    on: Annotated[
        datetime | None,
        typer.Option(metavar="DATE", formats=["%Y-%m-%d"], help="Only what holds on this day, such as 2026-02-03."),
    ] = None,
    json: Json = False,
) -> None:
    """What a policy decides: tiers, caps, channels, licences and what is watched for, with dates and sources."""
    policy = policy_here(settings_here()) if name is None else named_policy(name, settings_for(name))
    found = sheet(policy, on.date() if on else now().date(), whole=on is None)
    show_json(found) if json else show(policy_sheet(found))


def check(file: Annotated[str, typer.Argument(metavar="FILE", help="A policy in TOML.")]) -> None:
    """Whether a file is a policy: its id and SHA-256, or everything that is wrong with it. Then the exit code is 1."""
    settings = load_settings()
    find_policy(file)
    try:
        policy = load_policy(file, settings.chips)
    except WrongCall as failure:
        for error in failure.errors if isinstance(failure, InvalidPolicy) else [str(failure)]:
            typer.echo(error, err=True)
        raise typer.Exit(FOUND_WRONG) from None
    typer.echo(f"{policy.id} {policy.sha256}")


def diff(
    one: Annotated[str, typer.Argument(metavar="A", help=f"{_NAMES}.")],
    other: Annotated[str, typer.Argument(metavar="B", help=f"{_NAMES}.")],
    *,
    json: Json = False,
) -> None:
    """Which countries, caps and rules differ between two policies, and from when."""
    settings = settings_for(one, other)
    policy, against = named_policy(one, settings), named_policy(other, settings)
    found = difference(policy, against)
    show_json(found) if json else show(diff_lines(found, policy.countries | against.countries), unbroken=True)
