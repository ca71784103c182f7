"""Ascend parts are found in what a line says, however it is spelt, and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.policy import load_policy, policy_from_document
from tests.builders import a_line, noticed, on

POLICY = load_policy("annual-50k")
FIELDS = ("vendor", "model", "description", "part_number", "sku")


def told(policy=POLICY, shipped_at="2026-03-01T12:00:00Z", **line):
    """(severity, basis) of the alert that one line gives rise to, or None."""
    line = {"quantity": 1, "tpp_each": 100, **line}
    notice = noticed(policy, shipped_at=shipped_at, lines=[line]).get("ascend.detected")
    return notice and (notice.severity, notice.evidence.get("basis"))


WITH_ASCEND = [
    "Ascend 910B",
    "ASCEND910C",
    "ascend",
    "Huawei Ascend",
    "HuaweiAscend910B",
    "8xAscend 910B",
    "8 x Ascend-910B",
    "910B",
    "910b4",
    "server with 8 910C boards",
    "A s c e n d 910B",
    "A-s-c-e-n-d",
    "A.s.c.e.n.d",
    "A_s_c_e_n_d",
    "A · s · c · e · n · d",
    "A--s--c--e--n--d",
    "As // cend",
    "Asc end 910",
    "Asc\tend 910",
    "As\u200bce\u200dnd",  # zero width
    "As\u00adcend",  # soft hyphen
    "As\u2060cend\ufeff",
    "ＡＳＣＥＮＤ",  # noqa: RUF001  fullwidth
    "𝐀𝐬𝐜𝐞𝐧𝐝 𝟗𝟏𝟎𝐁",  # noqa: RUF001  mathematical
    "Ⓐⓢⓒⓔⓝⓓ",
    "🅐🅢🅒🅔🅝🅓",
    "🅰🆂🅲🅴🅽🅳",
    "Аscend",  # noqa: RUF001  Cyrillic
    "Asсеnd",  # noqa: RUF001  Cyrillic
    "Ascеnԁ",  # noqa: RUF001  Cyrillic
    "Αscend",  # noqa: RUF001  Greek
    "Asϲεηd",  # noqa: RUF001  Greek
    "Äscénd",
    "A\u0336s\u0336c\u0336e\u0336n\u0336d\u0336",  # struck through
    "Ascend™ processor",
    "Ascend系列",
    "昇腾910B",
    "昇騰",
    "升腾 910",
    "昇 腾",
    "昇\u200b腾",
    "昇--騰",
    "华为昇腾服务器",
    "AI昇腾芯片",
    "Ascend910B芯片",
]
WITHOUT_ASCEND = [
    "Ascendant Logistics",
    "Ascenda Pte",
    "ascending order",
    "Ascends",
    "descend",
    "transcend memory card",
    "Transcend",
    "xascend",
    "Nascend",
    "ascendд",
    "sorted ASC. End user unknown",
    "as, cend",
    "Atlas Copco compressor",
    "Atlas 800T A2 by somebody",
    "Atlas 900",
    "CloudMatrix",
    "920",
    "910",
    "1910B",
    "910Bx",
    "H910B2C",
    "910 boards",
    "Huawei",  # in a description: not its maker
    "升级",
    "腾讯",
    "a scene dated",
    "",
]


@pytest.mark.parametrize("text", WITH_ASCEND)
@pytest.mark.parametrize("field", ["model", "description", "part_number", "sku"])
def test_an_ascend_part_is_found_by_name_in_every_field(field, text):
    assert told(**{field: text}) == ("critical", "risk")


@pytest.mark.parametrize("text", [text for text in WITHOUT_ASCEND if text])
@pytest.mark.parametrize("field", ["vendor", "model", "description", "part_number", "sku"])
def test_what_only_resembles_it_is_not_found(field, text):
    if (field, text) not in (("vendor", "Huawei"), ("model", "Huawei"), ("model", "Atlas 900")):
        assert told(**{field: text}) is None


def test_company_names_and_places_are_never_searched():
    parties = {
        "exporter": {"name": "Ascend Trading"},
        "consignee": {"name": "Ascend 910B Ltd", "ultimate_parent": {"name": "Huawei Ascend"}},
        "bill_to": {"name": "昇腾"},
        "end_use": {"purpose": "training", "site": "Ascend Tower", "model": "Ascend"},
    }

    assert "ascend.detected" not in noticed(POLICY, lines=[a_line(declared_as="Ascend", eccn="Ascend")], **parties)


@pytest.mark.parametrize(
    "line",
    [
        {"vendor": "Huawei", "description": "Atlas 800T A2"},
        {"vendor": "Huawei", "description": "Atlas-900"},
        {"vendor": "Huawei", "description": "Atlas 200 DK"},
        {"vendor": "Huawei", "description": "Atlas 950"},
        {"vendor": "Huawei", "description": "CloudMatrix"},
        {"vendor": "Somebody", "description": "Huawei Atlas 900 cluster"},
        {"vendor": "Somebody", "description": "华为 Atlas 300I Duo"},
        {"vendor": "Somebody", "description": "NPU华为 Atlas 300I Duo"},
        {"vendor": "Huawei", "description": "Atlas 100 or Atlas 800"},
        {"vendor": "Нuаwei", "description": "Аtlas 800"},  # noqa: RUF001  Cyrillic
        {"description": "Atlas 800", "sku": "H-u-a-w-e-i 1"},
        {"description": "HuaweiCloudMatrix"},
    ],
)
def test_atlas_and_cloudmatrix_count_with_huawei_as_maker_or_in_the_text(line):
    assert told(**line) == ("critical", "risk")


@pytest.mark.parametrize("series", ["199", "951", "100", "1000", "2000"])
def test_atlas_products_outside_the_series_do_not_count_by_name(series):
    assert told(vendor="Huawei", model="Router 1", description=f"Atlas {series}") == ("warning", "risk")
    assert told(description=f"Huawei Atlas {series}") is None


@pytest.mark.parametrize("model", ["CloudMatrix 384", "Atlas 800T A2", "Ascend 950PR", "910C", "Atlas 900 A3 SuperPoD"])
def test_the_catalogues_names_need_no_maker(model):
    assert told(model=model) == ("critical", "risk")


@pytest.mark.parametrize(
    "line",
    [
        {"vendor": "Huawei", "model": "FusionServer 5288"},
        {"vendor": "Huawei Technologies Co., Ltd.", "model": "Thing 1"},
        {"vendor": "HiSilicon", "model": "Thing 1"},
        {"vendor": "华为", "model": "Thing 1"},
        {"vendor": "Huawei"},
        {"model": "Huawei FusionServer 5288"},
    ],
)
def test_an_unknown_part_of_huaweis_is_a_warning(line):
    assert told(**line) == ("warning", "risk")


def test_another_makers_known_part_is_none_of_huaweis():
    assert told(vendor="NVIDIA", model="H100 SXM", description="for a Huawei rack") is None


@pytest.mark.parametrize(
    "line",
    [
        {"vendor": "Huawei", "model": "Ascend 310"},
        {"vendor": "Huawei", "model": "Ascend 310P"},
        {"vendor": "Huawei", "model": "Atlas 300I Pro"},
        {"description": "Ascend 310"},
        {"description": "昇腾310"},
        {"description": "Ascend-310B module"},
    ],
)
def test_the_310_class_is_information_and_can_be_switched_off(line):
    document = {**POLICY.document()}
    document["policy"] = {**document["policy"], "detection": {**document["policy"]["detection"]}}
    document["policy"]["detection"]["ascend"] = {**document["policy"]["detection"]["ascend"], "class_310": False}
    silent = policy_from_document(document)

    assert told(**line) == ("info", "risk")
    assert told(silent, **line) is None
    assert told(silent, model="Ascend 910B") == ("critical", "risk")


@pytest.mark.parametrize(
    "line",
    [
        {"vendor": "Huawei", "model": "Ascend 310", "description": "with Ascend 910B inside"},
        {"description": "Ascend 310 and Ascend 910"},
        {"description": "Ascend 3100"},
    ],
)
def test_more_than_the_310_class_is_critical(line):
    assert told(**line) == ("critical", "risk")


@pytest.mark.parametrize(
    ("day", "basis"),
    [
        ("2025-05-12", None),
        ("2025-05-13", "violation"),
        ("2025-05-19", "violation"),
        ("2025-05-20", "risk"),
        ("2026-11-22", "risk"),
    ],
)
def test_the_basis_follows_the_agencys_words_of_the_day(day, basis):
    assert told(shipped_at=on(day), vendor="Huawei", model="Ascend 910B") == ("critical", basis)


@pytest.mark.parametrize("destination", ["MY", "DE", "US", "CN"])
def test_it_is_told_of_anywhere_in_the_world(destination):
    assert "ascend.detected" in noticed(POLICY, destination=destination, vendor="Huawei", model="Ascend 910C")


def test_one_alert_tells_of_all_lines_the_gravest_first():
    lines = [
        a_line("Thing 1", 1, "Huawei"),
        a_line("Ascend 310", 1, "Huawei"),
        a_line("H100 SXM"),
        a_line("Ascend 910B", 1, "Huawei"),
    ]
    notice = noticed(POLICY, lines=lines)["ascend.detected"]

    assert notice.severity == "critical"
    assert "Line 4" in notice.message
    assert list(dict.fromkeys(match["line"] for match in notice.evidence["matches"])) == [3, 0, 1]
    assert notice.evidence["matches"][0] == {
        "line": 3,
        "field": "model",
        "found": "Huawei Ascend 910B",
        "by": "catalogue",
    }


def test_a_310_beside_a_part_known_by_its_maker_alone_stays_a_warning():
    lines = [a_line("Ascend 310", 1, "Huawei"), a_line("Thing 1", 1, "Huawei")]

    assert noticed(POLICY, lines=lines)["ascend.detected"].severity == "warning"


LOOK_ALIKES = {"a": "aAаАαΑａ𝐚", "s": "sSѕЅｓ", "c": "cCсСϲｃ", "e": "eEеЕεΕｅ", "n": "nNηΝｎ", "d": "dDԁⅾｄ"}  # noqa: RUF001
BETWEEN = ["", "", "\u200b", "\u00ad", "\u2060", "\u200d", " ", "-", "_", ".", "\u0301", " - "]


LETTERS = st.tuples(*(st.sampled_from(LOOK_ALIKES[letter]) for letter in "ascend"))
GAPS = st.lists(st.sampled_from(BETWEEN), min_size=5, max_size=5)


@given(LETTERS, GAPS)
def test_no_mixture_of_look_alikes_and_invisible_characters_hides_it(letters, between):
    text = "".join(letter + gap for letter, gap in zip(letters, [*between, ""], strict=True))

    assert told(description=f"{text} 910B") == ("critical", "risk")
    assert told(description=f"{text}ant logistics") is None


@given(st.text(alphabet="as cend-9.10Bатлас", max_size=40))  # noqa: RUF001
def test_a_text_is_judged_alike_alone_and_among_others(text):
    alone = told(description=text or "x")
    among = told(description=text or "x", vendor="Acme", part_number="P-1", sku="K-1")

    assert alone == among


def test_a_long_text_of_blanks_takes_no_time():
    text = ("a" + " " * 300) * 180

    assert told(description=text) is None
