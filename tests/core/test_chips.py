"""The catalogue: its figures, the classes that follow from them, and the names by which parts are found."""

import csv
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.chips import UNDETERMINED, classify, read_chips
from ledger.errors import WrongCall
from ledger.policy import DATA, load_policy

CATALOGUE = load_policy("annual-50k").catalogue
ROWS = list(csv.DictReader((DATA / "chips.csv").read_text(encoding="utf-8").splitlines()))
EXPECTED = list(csv.DictReader(Path(__file__).with_name("chip_classes.csv").read_text(encoding="utf-8").splitlines()))


def expected_class(said):
    """The class in the reference's words, in ours."""
    if "undetermined" in said or said.startswith("needs die area"):
        return UNDETERMINED
    if said.startswith(("below", "not 3A090", "unknown")):
        return None
    entry, paragraph = said.split()[0].split(".")[:2]
    return f"{entry}.{paragraph}"


def test_the_catalogue_holds_132_parts_of_which_seven_have_unknown_tpp():
    unknown = {part.name for part in CATALOGUE.parts if part.tpp is None}

    assert len(CATALOGUE.parts) == 132
    assert unknown == {
        "AMD Instinct MI308X",
        "Huawei Ascend 910D",
        "Cambricon Siyuan 690",
        "Hygon DCU BW1000",
        "Kunlunxin (Baidu) Kunlun P800",
        "T-Head (Alibaba) Zhenwu 810E",
        "Enflame S60",
    }


@pytest.mark.parametrize("row", EXPECTED, ids=lambda row: f"{row['vendor']} {row['model']}")
def test_the_formula_gives_each_part_the_class_that_was_worked_out_by_hand(row):
    part = CATALOGUE.find(row["vendor"], row["model"])

    assert part is not None
    assert part.eccn == expected_class(row["class_by_formula"])
    if row["performance_density"]:
        assert float(part.exact_tpp / part.die_area_mm2) == pytest.approx(float(row["performance_density"]), abs=0.06)


@pytest.mark.parametrize("row", [row for row in ROWS if row["tpp"]], ids=lambda row: f"{row['vendor']} {row['model']}")
def test_tpp_is_dense_operations_times_bit_length(row):
    assert Fraction(row["tpp"]) == pytest.approx(Fraction(row["dense_tops"]) * Fraction(row["bit_length"]), abs=1)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['vendor']} {row['model']}")
def test_every_name_of_a_part_finds_it_with_its_maker(row):
    for name in (row["model"], *filter(None, row["aliases"].split(";"))):
        for spelling in (name, name.lower(), name.upper().replace(" ", "-"), f"  {name.replace('-', ' ')} "):
            part = CATALOGUE.find(row["vendor"], spelling)

            assert part is not None, spelling
            assert part.name == f"{row['vendor']} {row['model']}"


@pytest.mark.parametrize(
    ("vendor", "model", "tpp"),
    [
        ("NVIDIA", "A40", 2395),  # 2394.4
        ("AMD", "MI300X", 20920),  # 20919.2
        ("AMD", "MI300X Platform", 167354),
        ("NVIDIA", "GeForce RTX 4090", 5285),
        ("Meta", "MTIA v1", 820),
    ],
)
def test_fractions_are_rounded_up(vendor, model, tpp):
    assert CATALOGUE.find(vendor, model).tpp == tpp


@pytest.mark.parametrize(
    ("model", "tpp"),
    [
        ("GB200", 40_000),
        ("gb200", 40_000),
        ("GB300", 60_000),
        ("GB300 GPU", 60_000),
        ("GB200 Superchip", 80_000),
        ("GB200 Grace Blackwell", 80_000),
        ("Grace Blackwell GB300", 120_000),
        ("GB300 Grace Blackwell Superchip", 120_000),
        ("GB200 NVL72", 2_880_000),
        ("GB300-NVL72", 4_320_000),
        ("DGX H100", 126_656),
    ],
)
def test_a_gpu_a_superchip_and_a_rack_are_told_apart(model, tpp):
    assert CATALOGUE.find(None, model).tpp == tpp


@pytest.mark.parametrize(
    ("vendor", "model"),
    [
        (None, "A10"),  # short
        (None, "T4"),
        (None, "L4"),
        (None, "D1"),
        (None, "LPU"),
        (None, "Rubin"),  # no digit
        (None, "Trillium"),
        (None, "Zhenwu"),
        ("Dell", "A10"),  # not its maker
        ("Intel", "N100"),  # a laptop's processor, not MetaX's
        ("AMD", "H100 SXM"),  # the wrong maker
        (None, "H1000"),
        (None, "920"),
        (None, ""),
        (None, "   "),
    ],
)
def test_what_could_be_something_else_is_not_found(vendor, model):
    assert CATALOGUE.find(vendor, model) is None


@pytest.mark.parametrize(
    ("vendor", "model", "name"),
    [
        ("NVIDIA", "A10", "NVIDIA A10"),
        ("NVIDIA Corporation", "L4", "NVIDIA L4"),
        ("nvidia", "Rubin", "NVIDIA VR200 (per GPU)"),
        (None, "NVIDIA L4", "NVIDIA L4"),
        ("NVIDIA", "NVIDIA H100 SXM5", "NVIDIA H100 SXM"),
        ("Supermicro", "H100 SXM", "NVIDIA H100 SXM"),
        ("", "h100", "NVIDIA H100 SXM"),
        ("Google", "Trillium", "Google TPU v6e"),
        ("Advanced Micro Devices, Inc.", "MI300X", "AMD Instinct MI300X"),
        ("Huawei Technologies Co., Ltd.", "910B", "Huawei Ascend 910B"),
        ("华为技术有限公司", "910C", "Huawei Ascend 910C"),
        ("Baidu", "R200", "Kunlunxin (Baidu) Kunlun R200"),
        ("Alibaba Cloud", "PPU", "T-Head (Alibaba) Zhenwu 810E"),
        ("NVIDIA", "Groq LP30", "Groq LP30"),
        ("NVIDIA®", "H100™ SXM", "NVIDIA H100 SXM"),
        (None, "Ｈ１００　ＳＸＭ", "NVIDIA H100 SXM"),  # noqa: RUF001  fullwidth
        (None, "Н100 SХM", "NVIDIA H100 SXM"),  # noqa: RUF001  Cyrillic
        (None, "H\u200b100\u00ad SXM", "NVIDIA H100 SXM"),  # invisible characters
    ],
)
def test_a_part_is_found_however_it_is_written(vendor, model, name):
    assert CATALOGUE.find(vendor, model).name == name


@pytest.mark.parametrize(
    ("tpp", "figures", "eccn"),
    [
        (4800, {}, "3A090.a"),
        (4799, {}, UNDETERMINED),
        (1600, {}, UNDETERMINED),
        (1599, {}, None),
        (4799, {"data_center": False}, None),
        (4800, {"data_center": False}, "3A090.a"),
        (1600, {"die_area_mm2": Fraction(1600, 592) * 100}, "3A090.a"),  # 5.92 exactly
        (1600, {"die_area_mm2": Fraction(271)}, "3A090.b"),
        (1600, {"die_area_mm2": Fraction(500)}, "3A090.b"),  # 3.2 exactly
        (1600, {"die_area_mm2": Fraction(501)}, None),
        (2399, {"die_area_mm2": Fraction(800)}, None),
        (2400, {"die_area_mm2": Fraction(800)}, "3A090.b"),
        (2400, {"die_area_mm2": Fraction(1500)}, "3A090.b"),  # 1.6 exactly
        (2400, {"die_area_mm2": Fraction(1501)}, None),
        (9600, {"ics_per_item": 2}, "4A090.a"),
        (9598, {"ics_per_item": 2}, UNDETERMINED),
        (3198, {"ics_per_item": 2}, None),
    ],
)
def test_the_formula_turns_exactly_at_its_limits(tpp, figures, eccn):
    assert classify(Fraction(tpp), **figures) == eccn


@given(st.integers(1, 10**7), st.integers(1, 10**7), st.one_of(st.none(), st.integers(1, 50_000)))
def test_more_performance_never_makes_a_lower_class(one, other, die_area):
    rank = [None, "3A090.b", UNDETERMINED, "3A090.a"]
    die = None if die_area is None else Fraction(die_area)
    low, high = (classify(Fraction(tpp), die_area_mm2=die) for tpp in sorted((one, other)))

    assert rank.index(low) <= rank.index(high)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"tpp": "many"}, "tpp is 'many'; write a plain number"),
        ({"tpp": "-5"}, "tpp is '-5'"),
        ({"tpp": "0"}, "tpp is 0; write a number above 0"),
        ({"tpp": "1e400"}, "tpp is '1e400'"),
        ({"tpp": "9999999999999999"}, "at most"),
        ({"model": " "}, "model is empty"),
        ({"ascend": "maybe"}, "ascend is 'maybe'; write true or false"),
        ({"ics_per_item": "1.5"}, "ics_per_item is a whole number"),
        ({"aliases": "H100"}, "has the name 'h100' of NVIDIA H100 SXM; leave it to one"),
    ],
)
def test_a_wrong_row_is_refused_with_its_line_and_the_reason(cells, reason):
    with pytest.raises(WrongCall, match=r"^mine\.csv, line 134: ") as refusal:
        read_chips([*ROWS, {"vendor": "NVIDIA", "model": "Mine 9", "tpp": "100", **cells}], file="mine.csv")

    assert reason in str(refusal.value)


def test_every_row_keeps_its_evidence_and_its_source():
    for part in CATALOGUE.parts:
        assert part.evidence in ("dataset", "press", "derived", "unconfirmed")
        assert part.source_url.startswith("https://")
    assert CATALOGUE.find("NVIDIA", "T4").evidence == "unconfirmed"


def test_the_data_taken_from_epoch_carries_its_attribution():
    notice = (DATA / "NOTICE.md").read_text()

    assert "Epoch AI" in notice
    assert "https://epoch.ai/data/machine-learning-hardware" in notice
    assert "CC BY 4.0" in notice
