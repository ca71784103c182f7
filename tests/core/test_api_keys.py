"""API keys without Redis: their text, their record, what their scopes open; and the command without a ledger."""

from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from ledger.errors import WrongCall
from streams.api.keys import (
    ALERTS_READ,
    QUOTA_READ,
    SCOPES,
    SHIPMENTS_WRITE,
    StoredKey,
    create,
    id_and_secret,
    may_send,
    opens,
    scopes_of,
)
from streams.cli.main import app
from streams.cli.tables import key_table, show
from streams.logs import without_secrets

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
BOUND = "shipments:write:/logistics/acme"


def a_key(*scopes, name="reader"):
    """A stored key, its text and its secret."""
    stored, text = create(name, scopes or (QUOTA_READ,), now=NOW)
    return stored, text, id_and_secret(text)[1]


def test_a_key_names_its_record_and_every_key_is_another():
    (one, text, secret), (other, other_text, other_secret) = a_key(), a_key()

    assert text == f"qk_{one.id}_{secret}"
    assert id_and_secret(text)[0] == one.id
    assert one.setting_key == f"key:{one.id}"
    assert len({text, other_text, secret, other_secret, one.id, other.id}) == 6


def test_a_record_holds_the_hash_and_not_the_secret_and_reads_back_the_same():
    stored, _, secret = a_key(QUOTA_READ, BOUND)

    assert secret.encode() not in stored.to_record()
    assert stored.sha256.encode() in stored.to_record()
    assert StoredKey.model_validate_json(stored.to_record()) == stored
    assert StoredKey.model_validate_json(stored.revoked(NOW).to_record()).revoked_at == NOW


def test_what_is_shown_of_a_key_is_neither_secret_nor_hash():
    stored, _, secret = a_key()
    told = stored.shown().model_dump_json()

    assert stored.sha256 not in told
    assert secret not in told
    assert stored.id in told


def test_a_key_opens_its_scopes_with_its_own_secret_until_it_is_revoked():
    stored, _, secret = a_key(QUOTA_READ, ALERTS_READ)

    assert scopes_of(stored, secret) == {QUOTA_READ, ALERTS_READ}
    assert scopes_of(stored, a_key()[2]) is None
    assert scopes_of(stored, "") is None
    assert scopes_of(stored.revoked(NOW), secret) is None
    assert scopes_of(None, secret) is None


@pytest.mark.parametrize(
    "text",
    ["", "qk", "qk__", "qk_0123456789abcdef_", "whsec_abc", "qk_0123456789abcdef_" + "g" * 48, "qk_é_é", "q" * 100_000],
)
def test_what_is_no_key_has_no_id(text):
    assert id_and_secret(text) == ("", "")


def test_a_key_with_anything_before_or_behind_it_is_none():
    _, text, _ = a_key()

    for changed in (text + "\n", text + "0", " " + text, text[:-1], text.upper()):
        assert id_and_secret(changed) == ("", "")


@pytest.mark.parametrize("scope", sorted(SCOPES))
def test_a_scope_opens_itself_and_nothing_else(scope):
    assert [other for other in sorted(SCOPES) if opens({scope}, other)] == [scope]


def test_a_scope_that_is_bound_to_a_source_opens_the_call_for_events_of_that_source_alone():
    assert [scope for scope in sorted(SCOPES) if opens({BOUND}, scope)] == [SHIPMENTS_WRITE]
    assert may_send({BOUND}, "/logistics/acme")
    for other in ("/logistics/acme2", "/logistics", "/logistics/acme/", "", "/http"):
        assert not may_send({BOUND}, other)
    assert may_send({BOUND, "shipments:write:urn:a:b"}, "urn:a:b")
    assert may_send({SHIPMENTS_WRITE}, "/anything")
    assert not may_send({QUOTA_READ}, "/anything")


def test_a_narrower_scope_of_a_later_version_opens_nothing():
    assert not opens({"quota:read:DE"}, QUOTA_READ)


@pytest.mark.parametrize(
    "scope", ["", "admin", "quota", "quota:read:DE", "alerts:write", "shipments:write:", "shipments:write:/a\x1b[2J"]
)
def test_a_scope_that_does_not_exist_is_refused_with_those_that_do(scope):
    with pytest.raises(WrongCall, match="alerts:read, quota:read, shipments:write, webhooks:admin"):
        create("", [QUOTA_READ, scope], now=NOW)


def test_a_key_in_a_log_is_crossed_out():
    _, text, secret = a_key()
    told = without_secrets(None, "", {"event": f"called with Bearer {text}", "header": f"Bearer {text}"})

    assert secret not in str(told)


# --------------------------------------------------------------------------------------------------------- The command


@pytest.fixture
def run(tmp_path):
    """Run a command whose Kafka and Redis are nowhere."""
    nowhere = {"QUOTA_KAFKA_BOOTSTRAP": "127.0.0.1:1", "QUOTA_REDIS_URL": "redis://127.0.0.1:1/0"}

    def run(*arguments):
        return CliRunner().invoke(app, ["keys", *arguments], env=nowhere | {"QUOTA_STATE_DIR": str(tmp_path)})

    return run


@pytest.mark.parametrize("arguments", [("create",), ("create", "--scope", "quota"), ("revoke",)])
def test_a_wrong_call_ends_with_2(run, arguments):
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize("arguments", [("create", "--scope", "quota:read"), ("list",), ("revoke", "0123456789abcdef")])
def test_a_part_that_is_away_ends_with_69_and_no_key_is_told(run, arguments):
    done = run(*arguments)

    assert (done.exit_code, done.stdout) == (69, "")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "quota.example"])
def test_keys_are_off_on_loopback_only(tmp_path, host):
    environment = {"QUOTA_STATE_DIR": str(tmp_path), "QUOTA_AUTH": "off", "QUOTA_HTTP_HOST": host}
    done = CliRunner().invoke(app, ["api"], env=environment)

    assert done.exit_code == 2
    assert "QUOTA_AUTH=off is for this machine only" in done.stderr
    assert host in done.stderr


def test_up_feeds_no_sample_where_the_endpoint_asks_for_keys(tmp_path):
    environment = {"QUOTA_STATE_DIR": str(tmp_path), "QUOTA_AUTH": "required"}
    done = CliRunner().invoke(app, ["up", "--sample"], env=environment)

    assert done.exit_code == 2
    assert "QUOTA_AUTH=off" in done.stderr


def test_the_table_of_keys_shows_scopes_and_state_and_takes_no_name_for_markup(capsys):
    stored, _, _ = a_key(QUOTA_READ, BOUND, name="[red]reader")
    show(key_table([stored.shown(), stored.revoked(NOW).shown()]))
    shown = capsys.readouterr().out

    for said in (stored.id, "[red]reader", BOUND, QUOTA_READ, "in force", "revoked 2026-11-22"):
        assert said in shown
