"""Red flags, parts designed in China, end use and weights: on stated data only, from their day on."""

import pytest

from ledger.policy import load_policy
from tests.builders import a_line, noticed, on

POLICY = load_policy("annual-50k")
DIFFUSION = load_policy("diffusion-2025")
KNOWN = {"name": "X", "country": "IN", "headquarters": "IN", "role": "end_user"}
TRAINING = {"purpose": "training", "site": "Plot 7"}


def flags(policy=POLICY, **told):
    return {
        kind.removeprefix("redflag."): notice
        for kind, notice in noticed(policy, **told).items()
        if kind.startswith("redflag.")
    }


CASES = [
    ("rf05", {"end_use": {"purpose": "training", "site": ""}}, True),
    ("rf05", {"end_use": {"purpose": "training", "site": "  "}}, True),
    ("rf05", {"end_use": {"purpose": "training", "site": None}}, False),
    ("rf05", {"end_use": {"purpose": "training"}}, False),
    ("rf05", {"end_use": TRAINING}, False),
    ("rf05", {}, False),
    ("rf07", {"consignee": {"name": "X", "country": "IN"}}, True),
    ("rf07", {"consignee": KNOWN}, False),
    ("rf07", {"consignee": {**KNOWN, "country": "VN"}}, True),
    ("rf07", {"consignee": {**KNOWN, "country": "SA"}}, True),
    ("rf07", {"consignee": {**KNOWN, "country": "HK"}}, True),
    ("rf07", {"consignee": {**KNOWN, "country": None}}, False),
    ("rf07", {"destination": "VN", "consignee": KNOWN}, False),
    ("rf07", {}, False),
    *[("rf08", {"consignee": {**KNOWN, "role": role}}, True) for role in ("trading_firm", "reseller")],
    ("rf08", {"consignee": {**KNOWN, "role": "reseller"}, "end_use": {"purpose": "unknown"}}, True),
    ("rf08", {"consignee": {**KNOWN, "role": "reseller"}, "end_use": TRAINING}, False),
    ("rf08", {"consignee": {**KNOWN, "role": "distributor"}}, False),
    ("rf08", {"consignee": {**KNOWN, "role": "Trading Firm"}}, False),
    ("rf25", {"consignee": {**KNOWN, "role": "freight_forwarder"}, "end_use": TRAINING}, True),
    ("rf25", {"consignee": {**KNOWN, "role": "reseller"}}, False),
    *[("rf29", {"lines": [a_line(declared_as=said)]}, True) for said in ("adapter modules", "tea", "H20", "B200")],
    *[
        ("rf29", {"lines": [a_line(declared_as=said)]}, False)
        for said in ("H100 SXM", "h100-sxm", "NVIDIA H100 SXM", "H100", "8 x NVIDIA H100 SXM boards", "", None)
    ],
    ("rf29", {"lines": [a_line(declared_as="H100 SXM"), a_line(declared_as="toys")]}, True),
    ("rf29", {"lines": [a_line("Thinker 9000", declared_as="thinker-9000")]}, False),
    ("rf31", {"bill_to": {"country": "SG"}}, True),
    ("rf31", {"bill_to": {"country": "SG"}, "end_use": {"site": ""}}, True),
    ("rf31", {"bill_to": {"country": "SG"}, "end_use": TRAINING}, False),
    ("rf31", {"bill_to": {"country": "IN"}}, False),
    ("rf31", {"bill_to": {"name": "X"}}, False),
]


@pytest.mark.parametrize(("flag", "told", "shows"), CASES)
def test_a_red_flag_shows_on_what_is_stated(flag, told, shows):
    found = flags(**told)

    assert (flag in found) is shows
    if shows:
        assert found[flag].severity == "info"
        assert found[flag].evidence["source"].endswith("(unconfirmed) [S8]")


@pytest.mark.parametrize(
    ("tpp", "shows"),
    [
        (3_039_999, False), (3_040_000, True), (3_199_999, True), (3_200_000, False),
        (25_554_999, False), (25_555_000, True), (26_899_999, True), (26_900_000, False),
    ],
)  # fmt: skip
def test_a_shipment_just_below_an_lpp_limit_is_a_red_flag(tpp, shows):
    told = {"lines": [{"quantity": 1, "tpp_each": tpp}], "consignee": KNOWN}

    assert ("rf33" in flags(DIFFUSION, authorization={"kind": "lpp"}, **told)) is shows
    assert "rf33" not in flags(DIFFUSION, **told)
    assert "rf33" not in flags(POLICY, authorization={"kind": "lpp"}, **told)


ALL_AT_ONCE = {
    "consignee": {"name": "X", "role": "freight_forwarder"},
    "bill_to": {"country": "SG"},
    "end_use": {"purpose": "unknown", "site": "", "model_developer_country": "CN"},
    "lines": [
        a_line(declared_as="tea"),
        a_line("BR100", 1, "Biren"),
        {"quantity": 1, "tpp_each": 3_100_000},
    ],
}


def test_all_of_them_exist_from_13_may_2025():
    late = set(noticed(POLICY, shipped_at=on("2025-05-13"), **ALL_AT_ONCE))

    assert noticed(POLICY, shipped_at=on("2025-05-12"), **ALL_AT_ONCE) == {}
    assert late == {
        "redflag.rf05", "redflag.rf07", "redflag.rf08", "redflag.rf25", "redflag.rf29", "redflag.rf31",
        "redflag.prc_chip", "prc_model.end_use",
    }  # fmt: skip


@pytest.mark.parametrize("flag", ["rf05", "rf07", "rf08", "rf25", "rf29", "rf31"])
def test_each_red_flag_has_a_switch(tmp_path, flag):
    path = tmp_path / "mine.toml"
    path.write_text(f'extends = "annual-50k"\nid = "x"\ntitle = "X"\n[detection.red_flags]\n{flag} = false\n')
    policy = load_policy(str(path))

    assert set(flags(POLICY, **ALL_AT_ONCE)) - set(flags(policy, **ALL_AT_ONCE)) == {flag}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (a_line("BR100", 1, "Biren"), True),
        (a_line("MLU290-M5", 1, "Cambricon"), True),
        (a_line("Kunlun K200", 1, "Kunlunxin"), True),  # 3A090.b
        (a_line("N100", 1, "MetaX"), False),  # below 3A090
        (a_line("C500 (OAM)", 1, "MetaX"), True),  # undetermined: it may
        (a_line("Siyuan 690", 1, "Cambricon"), False),  # TPP unknown: held, and told as that
        (a_line("Ascend 910B", 1, "Huawei"), False),  # told as Ascend
        (a_line(), False),
        ({"quantity": 1, "tpp_each": 6_000, "vendor": "Biren"}, True),
        ({"quantity": 1, "tpp_each": 6_000, "vendor": "Huawei"}, False),
    ],
)
def test_parts_designed_in_china_that_meet_3a090_or_may_are_told_of_ascend_apart(line, told):
    assert ("prc_chip" in flags(lines=[line])) is told


@pytest.mark.parametrize(
    ("end_use", "told"),
    [
        *[
            ({"purpose": word, "model_developer_country": "CN"}, True)
            for word in ("training", "inference", "fine_tuning")
        ],
        ({"purpose": "inference", "model_developer_country": "MO"}, True),
        ({"purpose": "inference", "model_developer_country": "HK"}, True),
        ({"model_developer_country": "CN"}, True),
        ({"purpose": "hpc", "model_developer_country": "CN"}, False),
        ({"purpose": "resale", "model_developer_country": "CN"}, False),
        ({"purpose": "training", "model_developer_country": "IN"}, False),
        ({"purpose": "training"}, False),
    ],
)
@pytest.mark.parametrize("kind", ["shipment.shipped", "compute.used"])
def test_a_model_whose_developer_sits_in_tier_3_is_told_of(end_use, told, kind):
    found = noticed(POLICY, type=kind, end_use=end_use).get("prc_model.end_use")

    assert (found is not None) is told
    assert found is None or found.severity == "critical"


@pytest.mark.parametrize(
    ("destination", "consignee", "policy", "severity"),
    [
        ("IN", None, POLICY, "warning"),
        ("CN", None, POLICY, "critical"),
        ("DE", None, POLICY, None),
        ("US", None, POLICY, None),
        ("DE", {"headquarters": "CN"}, POLICY, "critical"),
        ("DE", {"headquarters": "IN"}, POLICY, None),
        ("DE", {"headquarters": "IN"}, DIFFUSION, "warning"),
    ],
)
def test_weights_are_told_of_outside_tier_1(destination, consignee, policy, severity):
    lines = [{"quantity": 1, "eccn": "4E091"}]
    found = noticed(policy, destination=destination, consignee=consignee, lines=lines).get("weights.controlled")

    assert (found and found.severity) == severity
