"""What a history of related events comes to, reckoned by hand: item by item, from the documents alone.

It knows nothing of the product's code, nor more of parts, countries and channels than `histories.py` uses; it is slow
and plain, so that it can be believed. Tests hold the product against it.
"""

from collections import Counter
from datetime import UTC, datetime

H100, A100, L4, H20, A40, ASCEND = 15_832, 4_992, 1_936, 2_368, 2_395, 6_016
BOOKED = {"h100": H100, "a100": A100, "l4": L4}
NOT_BOOKED = {"h20", "a40", "ascend"}
NAMES = {
    "H100 SXM": "h100", "h100-sxm": "h100", "A100": "a100", "L4": "l4", "H20": "h20", "A40": "a40",
    "Ascend 910B": "ascend", "Z9 Turbo": "z9", "z9-turbo": "z9", "Q-7": "q7", "Instinct MI308X": "mi308x",
    "Ascend 910D": "ascend-d", None: None,
}  # fmt: skip
TIER_1 = {"DE", "US"}
QUARTERS = [f"{year}-Q{quarter}" for year in range(2024, 2028) for quarter in (1, 2, 3, 4)]
FOLLOWERS = ("shipment.returned", "shipment.cancelled", "shipment.corrected", "shipment.resolved")
ADJUSTED = "ledger.adjusted"


def key_of(event):
    return event["source"], event["id"]


def named_by(event):
    """The key that an event names."""
    data = event["data"]
    if "original_id" not in data:
        return None
    return data.get("original_source") or event["source"], data["original_id"]


def families(events):
    """Original's key -> its family: the event of that key, if it is there, and every event that names it."""
    by_key = {key_of(event): event for event in events}
    naming = {}
    for event in events:
        if (named := named_by(event)) is not None:
            naming.setdefault(named, []).append(event)
    originals = {key for key, event in by_key.items() if event["type"] not in FOLLOWERS} | set(naming)
    return {
        key: ([by_key[key]] if key in by_key else []) + [event for event in naming.get(key, ()) if key_of(event) != key]
        for key in originals
    }


def reckon(key, events, policy_of, at):
    """What one family comes to.

    Args:
        key: the original's.
        events: the family, in any order.
        policy_of: event -> "annual" or "diffusion", under which its record is judged.
        at: the ledger's time.

    Returns:
        (balances by (account, period, state), numbers of held lines, outcomes by key, what each event took away).
    """
    original = next((event for event in events if key_of(event) == key), None)
    followers = [event for event in events if event is not original]
    outcomes, moved = {}, Counter()
    if original is None or original["type"] in (*FOLLOWERS, ADJUSTED):
        verdict = "waiting" if original is None else "void"
        selves = [original] if original and named_by(original) == key else []
        outcomes = {key_of(event): verdict for event in followers + selves if event["type"] in FOLLOWERS}
        if original and original["type"] == ADJUSTED:
            outcomes[key] = "applied"
        return adjusted(original), set(), outcomes, moved
    corrections = [event for event in followers if event["type"] == "shipment.corrected"]
    standing = max(corrections, key=said_order, default=original)
    for event in [original, *corrections]:
        outcomes[key_of(event)] = "superseded"
    if original["type"] == "compute.used":
        outcomes |= {key_of(e): "void" for e in followers if e["type"] in FOLLOWERS and e not in corrections}
        outcomes[key_of(standing)] = "noted"
        return Counter(), set(), outcomes, moved

    items = unpack(standing["data"]["lines"])
    give_words(items, [event for event in followers if event["type"] == "shipment.resolved"], outcomes)
    accounts, missing = accounts_of(standing, policy_of(standing)) if any(map(worth, items)) else ([], False)
    reserved = original["type"] == "shipment.reserved"
    expires = moment(standing["data"].get("expires_at")) if reserved else None
    expired = expires is not None and expires <= at
    left = sum(map(worth, items))
    for event in sorted(followers, key=happened_order):
        late = expired and happened(event) >= expires
        if event["type"] == "shipment.shipped" and reserved:
            used = 0 if late else min(left, sum(map(worth, unpack(event["data"]["lines"]))))
            left -= used
            moved[key_of(event)] = used
        elif event["type"] in ("shipment.returned", "shipment.cancelled"):
            gone = [] if late else picked(items, event)
            for item in gone:
                items.remove(item)
            took = min(left, sum(map(worth, gone)))
            left -= took
            moved[key_of(event)] = took
            outcomes[key_of(event)] = "applied" if took or any(not worth(item) for item in gone) else "void"
    if expired:
        left, items = 0, []
    held = {item["line"] for item in items if item["unknown"] or (missing and worth(item))}
    outcomes[key_of(standing)] = "held" if held else "applied"
    state = "reserved" if reserved else "posted"
    balances = Counter({(account, period, state): left for account, period in accounts}) if left else Counter()
    return balances, held, outcomes, moved


def reckon_all(events, policy_of, at):
    """What all families come to together.

    Returns:
        (balances by (account, period, state), how many lines are held, what waits by key, outcomes by key).
    """
    balances, held_lines, waits, outcomes = Counter(), 0, {}, {}
    for key, family in families(events).items():
        found, lines, told, _ = reckon(key, family, policy_of, at)
        balances.update(found)  # unlike `+=`, it keeps what lies below zero
        held_lines += len(lines)
        waits |= {name: "waiting" for name, outcome in told.items() if outcome == "waiting"}
        waits |= {key: "held"} if lines else {}
        outcomes |= told
    return Counter({place: tpp for place, tpp in balances.items() if tpp}), held_lines, waits, outcomes


def reckon_as_of(key, events, policy_of, at, moment):
    """The balances of one family at a moment of the past, as its events tell of it now.

    What a shipment is, and what its held lines are, it always was: corrections and resolutions count whenever they were
    made. What came back, or was used of a reservation, counts from the time at which it did.
    """
    lasting = ("shipment.corrected", "shipment.resolved")
    original = next((event for event in events if key_of(event) == key), None)
    corrections = [event for event in events if event is not original and event["type"] == "shipment.corrected"]
    if original is None or happened(max(corrections, key=said_order, default=original)) > moment:
        return Counter()
    then = [event for event in events if event is original or event["type"] in lasting or happened(event) <= moment]
    return reckon(key, then, policy_of, min(at, moment))[0]


def adjusted(event):
    """What a person booked, if that is what the event is."""
    if event is None or event["type"] != ADJUSTED:
        return Counter()
    told = event["data"]
    return Counter({(f"country:{told['country']}", told["period"], "posted"): told["tpp"]})


def unpack(lines):
    """Every single item of some lines."""
    return [
        {
            "line": number,
            "name": NAMES[line.get("model")],
            "vendor": line.get("vendor"),
            "stated": line.get("tpp_each"),
            "weights": "eccn" in line,
            "unknown": NAMES[line.get("model")] in ("z9", "q7", "mi308x", "ascend-d"),
            "word": None,
        }
        for number, line in enumerate(lines)
        for _ in range(line.get("quantity", 1))
    ]


def worth(item):
    """What one item is charged with."""
    if item["weights"] or item["name"] in NOT_BOOKED or item["unknown"]:
        return 0
    if item["name"] in BOOKED:
        return max(BOOKED[item["name"]], item["stated"] or 0)
    tpp = item["word"] if item["name"] else item["stated"]
    return tpp if tpp >= 1_600 and item["name"] != "ascend-d" else 0


def same_part(one, other):
    if one["name"] is None or other["name"] is None:
        return (one["name"], one["stated"]) == (other["name"], other["stated"])
    if one["name"] != other["name"]:
        return False
    return one["name"] not in ("z9", "q7") or one["vendor"] is None or other["vendor"] in (None, one["vendor"])


def picked(items, event):
    """The items that a return takes: for each one it lists, the first that is there; or all."""
    if event["type"] == "shipment.cancelled" or "lines" not in event["data"]:
        return list(items)
    there, gone = list(items), []
    for wanted in unpack(event["data"]["lines"]):
        found = next((item for item in there if same_part(wanted, item)), None)
        if found is not None:
            there.remove(found)
            gone.append(found)
    return gone


def give_words(items, events, outcomes):
    """Each item that nobody can count follows the last word on its part."""
    outcomes |= {key_of(event): "void" for event in events}
    for item in [item for item in items if item["unknown"]]:
        for event in sorted(events, key=said_order):
            for word in unpack(event["data"]["lines"]):
                if same_part(word, item):
                    if item.get("by") and outcomes[item["by"]] == "void":
                        outcomes[item["by"]] = "superseded"
                    item |= {"word": word["stated"], "unknown": False, "by": key_of(event)}
    for item in items:
        if item.get("by"):
            outcomes[item["by"]] = "applied"


def accounts_of(event, policy):
    """The (account, period) pairs that a shipment debits, and whether something is missing to tell them."""
    data, day = event["data"], moment(event["data"].get("shipped_at") or event["time"])
    channel = (data.get("authorization") or {}).get("kind") or "license"
    if policy == "annual":
        return ([] if channel in ("nveu", "uveu") else [(f"country:{data['destination']}", str(day.year))]), False
    if not 2025 <= day.year <= 2027 or channel == "aia":
        return [], False
    if channel in ("license", "none"):
        return [(f"country:{data['destination']}", "2025-2027")], False
    if "consignee" not in data:
        return [], True
    return metered(channel, data, day)


def metered(channel, data, day):
    country, consignee = data["destination"], data["consignee"]
    owner = consignee.get("ultimate_parent") or consignee
    if channel == "lpp":
        return [(f"lpp:{owner['id']}", str(day.year))], False
    if channel == "nveu":
        first = f"{day.year}-Q{(day.month + 2) // 3}"
        return [(f"nveu:{consignee['id']}:{country}", quarter) for quarter in QUARTERS if quarter >= first], False
    seat = owner.get("country") or consignee["headquarters"]
    where = [] if country in TIER_1 else [country, "outside-tier1"]
    if seat == "US" and country != "US":
        where.append("outside-us")
    if where and data["authorization"]["holdings_tpp"] is None:
        return [], True
    return [(f"uveu:{owner['id']}:{place}", "total") for place in where], False


def moment(text):
    return datetime.fromisoformat(text) if text else None


def happened(event):
    return moment(event["data"].get("shipped_at") or event.get("time")) or datetime.min.replace(tzinfo=UTC)


def happened_order(event):
    return happened(event), *key_of(event)


def said_order(event):
    return moment(event.get("time")) or datetime.min.replace(tzinfo=UTC), *key_of(event)
