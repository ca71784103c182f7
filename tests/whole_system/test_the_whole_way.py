"""From files of events to a debit, an alert, a signed webhook and a status answer: real processes on real parts."""

import json
import subprocess
import sys

import pytest

from streams.cli.up_endpoint import Endpoint
from streams.embedded.children import end_all
from streams.embedded.receiver import LocalReceiver
from streams.settings import environment_of
from tests.parts import environment_without_settings, wait_until


@pytest.fixture
def quota_ledger(make_settings):
    """Runs one command of `quota-ledger` on a ledger of the test's own."""
    settings = make_settings(partitions=12)

    def run(*arguments, given=""):
        return subprocess.run(
            [sys.executable, "-m", "streams.cli.main", *arguments],
            env=environment_without_settings() | environment_of(settings),
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout

    run.settings = settings
    return run


def test_the_sample_goes_the_whole_way(quota_ledger, processes, register, tmp_path):
    settings = quota_ledger.settings
    endpoint = Endpoint(f"http://127.0.0.1:{settings.http_port}")
    for command in ("worker", "sender", "api"):
        processes.start(command, settings)
    wait_until(endpoint.is_ready, "the endpoint", 60)
    receiver = LocalReceiver(tmp_path, register)
    receiver.tell_secret(endpoint.subscribe(receiver.url))
    wait_until(lambda: endpoint.knows_receiver(receiver.url), "the subscription", 30)
    sample = quota_ledger("sample")
    quota_ledger("send", "-", given=sample)
    quota_ledger("send", "-", given=sample)  # a second time: nothing changes

    def india():
        return json.loads(quota_ledger("status", "IN", "--json"))

    def all_is_posted():
        return (answer := india())["status"] == "near_cap" and answer["freshness"]["lag_records"] == 0 and answer

    answer = wait_until(all_is_posted, "India's balance", 60)
    alerts = endpoint.new_alerts(1000)

    def all_is_told():
        receiver.count()
        return receiver.verified == len(alerts)

    wait_until(all_is_told, f"{len(alerts)} webhooks", 30)
    end_all([receiver.child])

    events = [json.loads(line) for line in sample.splitlines()]
    invented = [event["data"] for event in events if event["data"]["destination"] == "IN"]
    assert answer["posted_tpp"] <= answer["cap_tpp"]
    assert 0.9 <= answer["used_ratio"] < 1
    assert invented
    assert [threshold["level"] for threshold in answer["thresholds"] if threshold["crossed_at"]] == [75, 90]
    assert [alert.level for alert in alerts if alert.country == "IN" and alert.level] == [75, 90]
    assert {"tier3.shipment", "ascend.detected"} <= {alert.kind for alert in alerts}
    assert len({alert.alert_id for alert in alerts}) == len(alerts)
    assert receiver.refused == 0
    for event in events:
        decision = json.loads(quota_ledger("explain", event["source"], event["id"], "--json"))
        assert decision["outcome"] in ("applied", "noted")
