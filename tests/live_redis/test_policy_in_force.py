"""The commands about policies beside a ledger that has adopted one."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from ledger.book.script import connect
from ledger.policy import load_policy
from streams.cli.main import app
from tests.live_redis.adopting import adopt


@pytest.fixture
def run(redis_url, ledger, tmp_path):
    """Run a command on a ledger whose policy is that of a file."""

    def run(policy, *arguments):
        async def put_in_force():
            redis = connect(redis_url)
            await adopt(redis, ledger, policy)
            await redis.aclose()

        asyncio.run(put_in_force())
        environment = {"QUOTA_REDIS_URL": redis_url, "QUOTA_LEDGER": ledger, "QUOTA_STATE_DIR": str(tmp_path)}
        return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)

    return run


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('extends = "annual-50k"\nid = "mine"\ntitle = "Mine"\nlevels = [50]\n')
    return path


def test_the_list_marks_the_policy_that_is_in_force(run):
    found = json.loads(run(load_policy("allies-tier1"), "policy", "list", "--json").stdout)

    assert [item["policy_id"] for item in found["items"] if item["in_force"]] == ["allies-tier1"]
    assert [item["policy_id"] for item in found["items"] if item["in_force"] is False] == [
        "allies-tier1-long", "annual-50k", "december-2024", "diffusion-2025",
    ]  # fmt: skip


def test_the_list_says_that_another_policy_than_those_is_in_force(run, mine):
    done = run(load_policy(str(mine)), "policy", "list")

    assert f"In force is mine {load_policy(str(mine)).sha256[:12]}, which is none of these" in done.stdout


def test_the_policy_in_force_is_shown_though_its_file_is_gone(run, mine):
    policy = load_policy(str(mine))
    mine.unlink()

    assert run(policy, "policy", "show").stdout.startswith(f"mine  Mine\nSHA-256 {policy.sha256}\n")
    assert run(policy, "policy", "show", "in-force").stdout.startswith("mine  Mine\n")
    assert run(policy, "policy", "diff", "in-force", "annual-50k").stdout.splitlines()[1:] == [
        "levels: 50 -> 75 90 100, from the beginning"
    ]


def test_a_simulation_may_be_under_the_policy_in_force(run, mine, tmp_path):
    (tmp_path / "a.jsonl").write_text("")
    named = ("--policy", "in-force", "--against", "annual-50k", "--json")
    found = json.loads(run(load_policy(str(mine)), "simulate", tmp_path / "a.jsonl", *named).stdout)

    assert (found["policy"]["policy_id"], found["policy"]["levels"]) == ("mine", [50])


def test_a_ledger_that_has_adopted_nothing_has_no_policy_in_force(redis_url, ledger, tmp_path):
    environment = {"QUOTA_REDIS_URL": redis_url, "QUOTA_LEDGER": ledger, "QUOTA_STATE_DIR": str(tmp_path)}
    done = CliRunner().invoke(app, ["policy", "show", "in-force"], env=environment)

    assert done.exit_code == 2
    assert "no policy is in force" in done.stderr
