"""Whether a licence is required, by the policy that is asked."""

import pytest

from ledger.policy import load_policy
from ledger.policy_document import CHANNELS, POLICIES
from ledger.rules.assess import assess
from ledger.rules.license import license_required
from ledger.rules.reasons import rules_that_spoke
from tests.builders import a_line, a_shipment, on

DIFFUSION, ZONE, ANNUAL = (load_policy(name) for name in ("diffusion-2025", "december-2024", "annual-50k"))


def required(policy, **told):
    return license_required(assess(a_shipment(**told), policy))[0]


def test_the_default_says_nothing_but_that_tier_3_needs_one():
    assert [required(ANNUAL, destination=code) for code in ("DE", "IN", "CN")] == [None, None, True]


@pytest.mark.parametrize("kind", CHANNELS)
@pytest.mark.parametrize("destination", ["DE", "IN", "CN"])
def test_the_rule_as_published_asks_tier_and_channel(kind, destination):
    answer = True if kind in ("license", "none") and destination != "DE" else None
    if (kind, destination) == ("aia", "DE"):
        answer = False

    assert required(DIFFUSION, destination=destination, authorization={"kind": kind}) is answer


def test_the_rule_as_published_asks_booked_items_only():
    assert required(DIFFUSION, destination="CN", model="A40") is None
    assert required(DIFFUSION, lines=[a_line("A40"), a_line()]) is True


@pytest.mark.parametrize(
    ("consignee", "tier", "answer"),
    [
        ({"headquarters": "IN"}, 2, True),
        ({"headquarters": "DE", "ultimate_parent": {"country": "IN"}}, 2, True),
        ({"headquarters": "DE"}, 1, None),
        ({"headquarters": "US"}, 1, None),
        ({"headquarters": "CN"}, 3, True),
    ],
)
def test_a_tier_2_headquarters_in_tier_1_counts_as_tier_2_under_the_rule_as_published_alone(consignee, tier, answer):
    assessment = assess(a_shipment(destination="DE", consignee=consignee), DIFFUSION)

    assert (assessment.tier, license_required(assessment)[0]) == (tier, answer)
    assert [due.account for due in assessment.charges] == ["country:DE"]
    for policy in (ANNUAL, ZONE):
        assert assess(a_shipment(destination="DE", consignee=consignee), policy).tier == (3 if tier == 3 else 1)


@pytest.mark.parametrize(
    ("destination", "answer"),
    [
        ("VN", True),  # D:1
        ("SA", True),  # D:4
        ("CN", True), ("MO", True), ("HK", True), ("VE", True),
        ("IL", False),  # D:4 and A:6
        ("TW", False), ("IN", False), ("MX", False), ("DE", False), ("US", False), ("MY", False), ("CH", False),
    ],
)  # fmt: skip
def test_the_licence_zone_of_december_2024(destination, answer):
    assert required(ZONE, destination=destination) is answer


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (a_line(), True),
        (a_line("A40"), True),
        (a_line("TPU v4", vendor="Google"), True),
        (a_line("H20"), None),
        ({"quantity": 1, "eccn": "4E091"}, None),
        (a_line("Thinker 9000"), None),
    ],
)
def test_the_zone_is_asked_for_items_of_level_a_and_b(line, answer):
    assert required(ZONE, destination="VN", lines=[line]) is answer


@pytest.mark.parametrize(
    ("consignee", "day", "answer"),
    [
        ({"headquarters": "CN"}, "2023-11-16", False),
        ({"headquarters": "CN"}, "2023-11-17", True),
        ({"headquarters": "DE", "ultimate_parent": {"country": "MO"}}, "2023-11-17", True),
        ({"headquarters": "KH"}, "2026-02-02", True),
        ({"headquarters": "KH"}, "2026-02-03", False),
        ({"headquarters": "VN"}, "2026-03-01", False),  # the zone asks where goods go, not who owns them
    ],
)
def test_a_buyer_headquartered_in_tier_3_needs_one_anywhere(consignee, day, answer):
    assert required(ZONE, destination="DE", shipped_at=on(day), consignee=consignee) is answer


@pytest.mark.parametrize(
    ("consignee", "day", "answer"),
    [
        (None, "2026-07-09", True),
        (None, "2026-07-10", True),
        ({"name": "Example Cloud"}, "2026-07-10", True),
        ({"name": "Microsoft Corporation"}, "2026-07-09", True),
        ({"name": "Microsoft Corporation"}, "2026-07-10", False),
        ({"name": "MICROSOFT, Inc."}, "2027-04-07", False),
        ({"name": "Local Cloud LLC", "ultimate_parent": {"name": "xAI Corp."}}, "2026-07-10", False),
        ({"name": "UAE Government"}, "2026-07-10", False),
        ({"name": "G42"}, "2027-04-06", False),
        ({"name": "G42"}, "2027-04-07", True),
        ({"name": "Core42 FZ-LLC"}, "2027-04-06", False),
        ({"name": "Core42 FZ-LLC"}, "2027-04-07", True),
        ({"name": "Metalworks"}, "2026-07-10", True),
        ({"name": "Microsoft", "headquarters": "CN"}, "2026-07-10", True),
    ],
)
def test_the_emirates_need_one_by_name_except_for_listed_parties(consignee, day, answer):
    assert required(ZONE, destination="AE", shipped_at=on(day), consignee=consignee) is answer
    assert required(ZONE, destination="IN", shipped_at=on(day), consignee={"name": "G42"}) is False


def test_of_several_entries_that_name_a_country_the_last_that_holds_counts(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'extends = "december-2024"\nid = "mine"\ntitle = "Mine"\n'
        '[[license.named]]\ncountries = ["IN"]\nsource = "S1"\n'
        '[[license.named.listed]]\nnames = ["G42"]\nsource = "S2"\n'
        '[[license.named]]\ncountries = ["IN", "AE"]\nvalid_from = 2026-07-01\nsource = "S3"\n'
    )
    policy = load_policy(str(path))

    def answer(day):
        assessment = assess(a_shipment(destination="IN", shipped_at=on(day), consignee={"name": "G42"}), policy)
        needed, because = license_required(assessment)
        return needed, because[1].rpartition(" ")[2]

    assert (answer("2026-06-30"), answer("2026-07-01")) == ((False, "[S2]"), (True, "[S3]"))


def test_a_listed_name_without_a_word_that_counts_is_not_that_of_every_buyer_without_a_name(tmp_path):
    text = (POLICIES / "december-2024.toml").read_text()
    path = tmp_path / "mine.toml"
    path.write_text(text.replace('"G42", "Core42"', '"The"'))

    assert (
        required(load_policy(str(path)), destination="AE", shipped_at=on("2026-07-10"), consignee={"id": "x"}) is True
    )


def test_an_answer_names_its_rule_and_source():
    told = dict(rules_that_spoke(assess(a_shipment(destination="AE", shipped_at=on("2026-07-10")), ZONE)))

    assert told["United Arab Emirates needs a licence by name"] == "91 FR 43034 [S33]"
