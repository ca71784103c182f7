"""Which policy a command goes by: one that is named, or the one in force."""

import typer

from ledger.errors import LedgerUnavailable, WrongCall
from ledger.policy import Policy, load_policy
from streams.cli.ledger_here import ask, settings_here
from streams.settings import Settings, load_settings

IN_FORCE = "in-force"
"""What stands for the adopted policy, where a policy is named."""


def policy_here(settings: Settings) -> Policy:
    """The adopted policy, or where there is no ledger to ask, the one that a new ledger would adopt; says which."""
    policy = adopted_policy(settings)
    whence = "as adopted" if policy else "by QUOTA_POLICY, for no ledger answers or none was adopted"
    policy = policy or load_policy(settings.policy, settings.chips)
    typer.echo(f"policy {policy.id} {policy.sha256[:12]}, {whence}", err=True)
    return policy


def adopted_policy(settings: Settings) -> Policy | None:
    """The policy in force; None where no ledger answers, or none was adopted."""
    try:
        return ask(settings, lambda reader, _: reader.policy())
    except LedgerUnavailable:
        return None


def settings_for(*policies: str) -> Settings:
    """The settings of a command that looks at no ledger, unless one of these is the policy in force."""
    return settings_here() if IN_FORCE in policies else load_settings()


def named_policy(name: str, settings: Settings) -> Policy:
    """A policy by a shipped id, by a file's path, or as `in-force`.

    Raises:
        WrongCall: there is none, or its file is wrong.
        LedgerUnavailable: Redis does not answer which one is in force.
    """
    if name != IN_FORCE:
        return load_policy(name, settings.chips)
    policy = ask(settings, lambda reader, _: reader.policy())
    if policy is None:
        raise WrongCall("no policy is in force: the first worker of a ledger adopts one when it starts")
    return policy
