"""Settings as they are read: what cannot be is refused at once, by the variable's name, with what to write."""

import pytest

from ledger.errors import WrongCall
from streams.settings import Settings, load_settings, parse_bootstrap


def refusal(**environment):
    with pytest.raises(WrongCall) as failure:
        load_settings(environment)
    return str(failure.value)


@pytest.mark.parametrize("name", sorted(name for name, field in Settings.model_fields.items() if field.default != ""))
@pytest.mark.parametrize("blank", ["", " \n"])
def test_a_variable_that_nobody_filled_is_not_taken_for_the_default(name, blank):
    variable = f"QUOTA_{name.upper()}"

    assert refusal(**{variable: blank}) == f"{variable}: it is empty; give it a value, or leave it out"


@pytest.mark.parametrize("name", ["QUOTA_WEBHOOK_ALLOW", "QUOTA_KAFKA_API_VERSION"])
def test_a_variable_whose_default_is_empty_may_be(name):
    assert load_settings({name: ""}) == load_settings({})


@pytest.mark.parametrize("variable", ["QUOTA_LEDGER", "QUOTA_TOPIC_ALERTS", "QUOTA_KAFKA_API_VERSION"])
def test_a_text_of_the_wrong_form_is_answered_with_what_to_write_and_not_with_a_pattern(variable):
    for wrong in ("two words", "2.3\n"):
        assert refusal(**{variable: wrong}).startswith(f"{variable}: write ")


@pytest.mark.parametrize(
    ("first", "second"), [("SHIPMENTS", "ALERTS"), ("SHIPMENTS", "REJECTED"), ("ALERTS", "SETTINGS")]
)
def test_one_topic_cannot_be_two(first, second):
    told = refusal(**{f"QUOTA_TOPIC_{first}": "one", f"QUOTA_TOPIC_{second}": "one"})

    assert told == f"QUOTA_TOPIC_{second}: one is QUOTA_TOPIC_{first} already; each needs a topic of its own"


@pytest.mark.parametrize(
    "url",
    [
        "redis://:S3cret@127.0.0.1:6379/zero",
        "redis://:S3/cret@127.0.0.1:6379/0",
        "redis://:S3cret@127.0.0.1:6379/0 ",
        "redis://:S3cret@127.0.0.1:6379/0?ssl_cert_reqs=none",
    ],
)
def test_an_address_of_redis_that_would_be_read_as_another_is_refused_without_its_password(url):
    told = refusal(QUOTA_REDIS_URL=url)

    assert told.startswith("QUOTA_REDIS_URL: it is no address of a Redis; write redis://")
    assert "S3" not in told


@pytest.mark.parametrize(
    "url",
    ["redis://h", "redis://h:1/", "redis://u:p%40@h:1/2", "rediss://h/0?ssl_cert_reqs=none", "unix:///a/b.sock?db=1"],
)
def test_every_address_of_a_redis_is_taken(url):
    assert load_settings({"QUOTA_REDIS_URL": url}).redis_url.get_secret_value() == url


@pytest.mark.parametrize(
    "text", [",", "localhost", "kafka:0", "kafka:99999", "kafka://kafka:9092", "user:pass@kafka:9092"]
)
def test_a_bootstrap_that_is_none_is_refused_without_repeating_a_password(text):
    told = refusal(QUOTA_KAFKA_BOOTSTRAP=text)

    assert told.startswith("QUOTA_KAFKA_BOOTSTRAP: found ")
    assert "host:port" in told
    assert "pass@" not in told


def test_a_bootstrap_may_name_several_brokers():
    text = "a:1, [::1]:9092 ,b:2,"

    assert parse_bootstrap(text) == ["a:1", "[::1]:9092", "b:2"]
    assert load_settings({"QUOTA_KAFKA_BOOTSTRAP": text}).kafka_bootstrap == "a:1,[::1]:9092,b:2"
