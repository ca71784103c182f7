"""From files of events to a debit, an alert, a signed webhook and a status answer: real processes on real parts."""

import json
import subprocess
import sys

import pytest

from streams.cli.up_endpoint import Endpoint
from streams.embedded.children import end_all
from streams.embedded.receiver import LocalReceiver
from streams.settings import environment_of
from tests.live_kafka.desk import LiveDesk
from tests.parts import environment_without_settings, wait_until

LEVELS = [75, 90]
"""What the sample's India climbs past."""


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

    events = [json.loads(line) for line in sample.splitlines()]
    desk = LiveDesk(settings)
    desk.wait_settled(2 * len(events))
    desk.close()
    answer = json.loads(quota_ledger("status", "IN", "--json"))
    told = []

    def all_is_told():
        told.extend(endpoint.new_alerts(1000))
        receiver.count()
        return receiver.verified == len(told) and [alert.level for alert in told if alert.level] == LEVELS

    wait_until(all_is_told, "every alert on the feed and at the receiver", 30)
    end_all([receiver.child])

    decision = json.loads(quota_ledger("explain", events[0]["source"], events[0]["id"], "--json"))
    assert 0.9 <= answer["used_ratio"] < 1
    assert [threshold["level"] for threshold in answer["thresholds"] if threshold["crossed_at"]] == LEVELS
    assert {"tier3.shipment", "ascend.detected"} <= {alert.kind for alert in told}
    assert len({alert.alert_id for alert in told}) == len(told)
    assert receiver.refused == 0
    assert decision["outcome"] == "applied"
