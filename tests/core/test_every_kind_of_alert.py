"""Every kind of alert says in one sentence what happened, shows what matched, and where to read on."""

import json
from datetime import UTC, datetime
from typing import get_args

from pydantic import SecretStr

from ledger.policy import load_policy
from ledger.rules.alerts import (
    ALERT_KINDS,
    adopted_alert,
    crossing_alerts,
    expired_alert,
    notice_alerts,
    reject_alert,
)
from ledger.rules.assessment import ChargeDue
from ledger.rules.judge import judge
from ledger.rules.levels import Crossing, Limits
from schemas.adoption import Adoption
from schemas.quota_alert import AlertKind
from schemas.rejected_record import FieldError, RejectedRecord
from schemas.webhook import Delivery, WebhookRequest
from streams.webhooks.jobs import Leased
from streams.webhooks.sender import exhausted_alert
from streams.webhooks.subscription import SecretBox, create
from tests.builders import a_line, a_shipment
from tests.core.test_red_flags import ALL_AT_ONCE

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY = load_policy("diffusion-2025")
LPP = {"kind": "lpp"}


def noticed():
    events = [
        a_shipment(**ALL_AT_ONCE),
        a_shipment(destination="KP", lines=[{"model": "weights", "quantity": 1, "eccn": "4E091"}]),
        a_shipment(consignee={"name": "X", "country": "VN", "headquarters": "CN"}, lines=[a_line("Ascend 910B")]),
        a_shipment(lines=[a_line("Z9 Turbo"), a_line(tpp_each=99_999)]),
        a_shipment(authorization=LPP, lines=[a_line(quantity=300)]),
        a_shipment(authorization=LPP, lines=[a_line(quantity=200)]),
    ]
    return [alert for event in events for alert in notice_alerts(event, judge(event, POLICY), POLICY, NOW)]


def crossed():
    limits = Limits(cap_tpp=1000, levels=(75, 90, 100))
    for account, crossing in ALERT_KINDS:
        charge = ChargeDue(account, f"{account}:IN", "IN", "2026", "posted", 10)
        [alert] = crossing_alerts(
            [Crossing(crossing, 90, 1, 950)],
            charge,
            a_shipment(),
            limits=limits,
            tier=2,
            policy=POLICY,
            recorded_at=NOW,
        )
        yield alert


def parked():
    for reason in ("not_json", "conflict"):
        rejected = RejectedRecord([FieldError(reason, "", "it is none.")])
        yield reject_alert(rejected, place="shipments/0/1", occurred_at=NOW, recorded_at=NOW, policy=POLICY)


def adopted():
    before, after = (
        Adoption(number=number, policy_id="p", policy_sha256="0" * 64, adopted_at=NOW, begins={}) for number in (1, 2)
    )
    return adopted_alert(after, "p", before)


def exhausted(alert):
    subscription, _ = create(WebhookRequest(url="https://example.com/hook"), SecretBox(SecretStr("a key")), now=NOW)
    text = alert.model_dump_json().encode()
    job = Leased("wh_1:al_1", "wh_1", "al_1", 1, 0, 9, 1, 0, text, is_test=False, urgent=False)
    last = Delivery(
        delivery_id="wh_1:al_1", webhook_id="wh_1", alert_id="al_1", sequence=1, attempt=10, at=NOW,
        outcome="exhausted", status=500, latency_ms=1, answer="", error=None, next_at=None,
    )  # fmt: skip
    return exhausted_alert(job, subscription, last)


def test_every_kind_says_a_sentence_shows_evidence_and_where_to_read_on():
    told = [*noticed(), *crossed(), *parked(), adopted(), expired_alert(a_shipment(), 5, 2, POLICY, NOW)]
    told.append(exhausted(told[0]))
    by_kind = {alert.kind: alert for alert in told}

    assert set(get_args(AlertKind)) - by_kind.keys() == {"webhook.test"}
    for kind, alert in by_kind.items():
        assert alert.message.isprintable(), kind
        assert not alert.message[0].islower(), kind
        assert alert.message.endswith("."), kind
        assert alert.evidence, kind
        assert alert.url is not None, kind
        assert alert.url.startswith("/v1/"), kind
        assert json.loads(alert.model_dump_json())["incident_key"], kind
