"""How answers look on a terminal: bars, colours, amounts. The answers themselves are HTTP's."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from schemas.decision import Charge, Decision
from schemas.plain_text import in_one_line
from schemas.quota_alert import QuotaAlert
from schemas.quota_status import Forecast, Freshness, LedgerStatus, QuotaList, QuotaStatus
from schemas.unsettled import EventName, HeldList
from schemas.webhook import Delivery, Webhook
from streams.api.keys import Key
from streams.cli.terminal import Terminal

COLOUR_OF_STATUS = {
    "prohibited": "magenta",
    "unlimited": "blue",
    "exceeded": "bold red",
    "exhausted": "red",
    "near_cap": "yellow",
    "open": "green",
}
COLOUR_OF_SEVERITY = {"info": "blue", "warning": "yellow", "critical": "red"}
_BAR_CELLS = 12
_WIDTH_IN_PIPES = 200
_BROKEN_MIN = 12
_NAMED_MAX = 10
_SAID_MAX = 60


def a_console() -> Terminal:
    """Standard output; where that is no terminal, without colour and with room for everything."""
    console = Terminal()
    if not console.is_terminal:
        console.width = _WIDTH_IN_PIPES
    return console


def show(answer: RenderableType, *, unbroken: bool = False) -> None:
    """Print on standard output, as `a_console`.

    Args:
        answer: a table, or lines.
        unbroken: lines, to be left as long as they are where that is no terminal.
    """
    console = a_console()
    console.print(answer, soft_wrap=unbroken and not console.is_terminal, crop=False)


def show_json(answer: BaseModel) -> None:
    """Print one JSON document, with the field names of HTTP."""
    print(answer.model_dump_json(indent=2))  # noqa: T201  a command's output


def bar(ratio: float | None, colour: str) -> Text:
    """A bar that is full at the cap, and marked where it is past it."""
    if ratio is None:
        return Text("-", "dim")
    filled = min(_BAR_CELLS, round(ratio * _BAR_CELLS))
    return Text.assemble(
        ("█" * filled, colour), ("░" * (_BAR_CELLS - filled), "dim"), ("▶" if ratio > 1 else " ", colour)
    )


def quota_table(*quotas: QuotaList) -> RenderableType:
    """The countries of which anything is booked or held; the others are counted. Fits 80 columns.

    Args:
        quotas: one list a period, the latest last; of several, each row tells its period.
    """
    moved = [
        item for found in quotas for item in found.items if item.posted_tpp or item.reserved_tpp or item.held_lines
    ]
    moved.sort(key=lambda item: (item.period, -(item.used_ratio or 0), -item.posted_tpp, item.country))
    periods = ["period"] if len(quotas) > 1 else []
    reserved = ["reserved TPP"] if any(item.reserved_tpp for item in moved) else []
    right = ("%", "posted TPP", *reserved, "cap TPP")
    table = plain_table("country", *periods, "tier", "used", right=right, left=("status",))
    for item in moved:
        colour = COLOUR_OF_STATUS[item.status]
        held = f", {item.held_lines} held" if item.held_lines else ""
        table.add_row(
            f"{item.country} {item.name}",
            *([item.period] if periods else []),
            str(item.tier),
            bar(item.used_ratio, colour),
            percent(item.used_ratio),
            f"{item.posted_tpp:,}",
            *([f"{item.reserved_tpp:,}"] if reserved else []),
            amount(item.cap_tpp),
            Text.assemble((item.status, colour), held),
        )
    return Group(table, Text(f"{_caption(quotas, moved)} {freshness_line(quotas[-1].freshness)}", "dim"))


def ledger_sheet(found: LedgerStatus) -> RenderableType:
    """The countries, and below them the events that are not settled, the first of each kind by name."""
    parts = [quota_table(found)]
    if found.waiting:
        parts.append(
            Text(f"{len(found.waiting):,} waiting for an event that is not known yet: {_named(found.waiting)}")
        )
    if found.held:
        told = f"{len(found.held):,} with held lines, which `quota-ledger resolve --list` shows: {_named(found.held)}"
        parts.append(Text(told))
    return Group(*parts)


def _named(events: Sequence[EventName]) -> str:
    names = ", ".join(in_one_line(event.event_key) for event in events[:_NAMED_MAX])
    return names + (f" and {len(events) - _NAMED_MAX:,} more" if len(events) > _NAMED_MAX else "")


def _caption(quotas: Sequence[QuotaList], moved: Sequence[QuotaStatus]) -> str:
    """Which periods a table is of, and how many countries do not stand in it."""
    asked = {item.country for found in quotas for item in found.items}
    periods = sorted({item.period for found in quotas for item in found.items})
    named = f"Period{'s' if len(periods) > 1 else ''} {', '.join(periods)}. " if periods else ""
    return f"{named}{len(asked - {item.country for item in moved})} countries have no entries."


def quota_sheet(item: QuotaStatus) -> RenderableType:
    """One country, field by field."""
    colour = COLOUR_OF_STATUS[item.status]
    sheet = plain_sheet()
    sheet.add_row("status", Text.assemble((item.status, colour), f", tier {item.tier}"))
    sheet.add_row("used", Text.assemble(bar(item.used_ratio, colour), " ", percent(item.used_ratio)))
    sheet.add_row("posted", f"{item.posted_tpp:,} TPP, as {item.h100_equivalents:,.1f} H100")
    sheet.add_row("reserved", f"{item.reserved_tpp:,} TPP")
    sheet.add_row("cap", f"{item.cap_tpp:,} TPP" if item.cap_tpp is not None else "none")
    sheet.add_row("available", f"{item.available_tpp:,} TPP" if item.available_tpp is not None else "no limit")
    if item.forecast:
        sheet.add_row("forecast", _forecast_line(item.forecast))
    for threshold in item.thresholds or ():
        crossed = f"crossed {threshold.crossed_at:%Y-%m-%d %H:%M:%S} UTC" if threshold.crossed_at else "not reached"
        sheet.add_row(f"{threshold.level} %", crossed)
    sheet.add_row("held lines", str(item.held_lines))
    if item.regime:
        sheet.add_row("regime", f"{item.regime.id}, {item.regime.status} ({item.regime.source})")
    sheet.add_row("policy", f"{item.policy_id} {item.policy_sha256[:12]}")
    heading = Text(f"{item.country} {item.name}, {item.period}", "bold")
    return Group(heading, Padding(sheet, (0, 2)), Text(freshness_line(item.freshness), "dim"))


def _forecast_line(forecast: Forecast) -> str:
    """When the cap is reached, and by which pace."""
    if forecast.latest_on:
        told = f"used up about {forecast.exhausted_on}, between {forecast.earliest_on} and {forecast.latest_on}"
    elif forecast.exhausted_on:
        told = (
            f"used up about {forecast.exhausted_on}, {forecast.earliest_on} at the earliest, perhaps not in this period"
        )
    elif forecast.earliest_on:
        told = f"used up on {forecast.earliest_on} at the earliest, more likely not in this period"
    else:
        told = "not used up in this period"
    return f"{told}, at {forecast.pace_tpp_per_week:,} TPP a week"


def decision_sheet(decision: Decision) -> RenderableType:
    """A decision: its receipt, then what was charged and under which rules."""
    heading = f"{in_one_line(decision.event_key)}: {decision.outcome or 'assessed, not booked'}"
    parts: list[RenderableType] = [Text(heading, "bold")]
    parts += [Padding(Text(in_one_line(sentence)), (0, 2)) for sentence in decision.receipt]
    if decision.charges:
        parts.append(_charges(decision.charges))
    if decision.rules:
        parts.append(Text("rules", "bold"))
        parts += [Padding(Text.assemble(rule.rule, (f"  {rule.source}", "dim")), (0, 2)) for rule in decision.rules]
    if decision.alerts:
        parts.append(Text("alerts", "bold"))
        parts += [Padding(alert_line(alert), (0, 2)) for alert in decision.alerts]
    recorded = f", recorded {decision.recorded_at:%Y-%m-%d %H:%M:%S} UTC" if decision.recorded_at else ""
    parts.append(Text(f"policy {decision.policy_id} {decision.policy_sha256[:12]}{recorded}", "dim"))
    return Group(*parts)


def held_table(found: HeldList) -> RenderableType:
    """Held lines, one a row, and what settles them."""
    if not found.items:
        return Text("No line is held.")
    table = plain_table("event", right=("line", "items"), left=("part", "reason", "settled by"))
    for item in found.items:
        table.add_row(
            item.event_key,
            str(item.line + 1),
            f"{item.quantity:,}",
            item.part,
            item.reason,
            "resolve" if item.resolvable else "a correction",
        )
    return table


def decision_table(decisions: Sequence[Decision]) -> RenderableType:
    """What several events change, one account a row."""
    table = plain_table("event", "account", "period", right=("charge TPP", "before", "after"), left=("status",))
    for decision in decisions:
        for charge in decision.charges:
            table.add_row(
                decision.event_key,
                charge.account,
                charge.period,
                f"{charge.tpp:+,}",
                f"{charge.before_tpp:,}",
                f"{charge.after_tpp:,}",
                Text(charge.status, COLOUR_OF_STATUS[charge.status]),
            )
        if not decision.charges:
            table.add_row(decision.event_key, "-", "", "", "", "", decision.outcome or "")
    return table


def alert_line(alert: QuotaAlert) -> Text:
    """One alert in one line."""
    return Text.assemble(
        (f"{alert.recorded_at:%Y-%m-%d %H:%M:%S} ", "dim"),
        (f"{alert.severity:8} ", COLOUR_OF_SEVERITY[alert.severity]),
        (f"{alert.kind:16} ", "bold"),
        alert.message,
    )


def key_table(keys: list[Key]) -> RenderableType:
    """API keys. Scopes come first, for they may hold a long source and be broken."""
    table = plain_table("scopes", "id", right=(), left=("created", "state", "name"))
    for key in keys:
        state = f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else "in force"
        table.add_row(Text("\n".join(key.scopes)), key.id, f"{key.created_at:%Y-%m-%d}", state, Text(key.name))
    return table if keys else Text("No keys.")


def webhook_table(webhooks: list[Webhook]) -> RenderableType:
    """Webhooks. Of an address only the host is shown: with some receivers the rest is a secret."""
    table = plain_table("id", "host", "state", right=(), left=("format", "asks for", "description"))
    for webhook in webhooks:
        host = urlsplit(webhook.url).hostname or ""
        colour = "green" if webhook.state == "active" else "yellow" if webhook.state == "paused" else "red"
        row = (Text(host), Text(webhook.state, colour), webhook.format, Text(_filters(webhook)))
        table.add_row(webhook.id, *row, webhook.description)
    return table if webhooks else Text("No webhooks.")


def _filters(webhook: Webhook) -> str:
    """What a webhook asks for, in words."""
    several = (webhook.kinds, webhook.countries, webhook.sources, [f"tier {tier}" for tier in webhook.tiers or ()])
    told = [", ".join(found) for found in several if found]
    if webhook.severity_min is not None:
        told.append(f"{webhook.severity_min} and above")
    return in_one_line("; ".join(told)) or "everything"


def delivery_table(deliveries: list[Delivery]) -> RenderableType:
    """Attempts to deliver."""
    right, left = ("attempt", "number", "status", "ms"), ("answer or error",)
    table = plain_table("delivery", "at", "outcome", right=right, left=left)
    for one in deliveries:
        colour = "green" if one.outcome == "delivered" else "red"
        said = in_one_line(one.error or one.answer)[:_SAID_MAX]
        status = "-" if one.status is None else str(one.status)
        numbers = (str(one.attempt), str(one.sequence), status, f"{one.latency_ms:,}")
        table.add_row(one.delivery_id, f"{one.at:%Y-%m-%d %H:%M:%S}", Text(one.outcome, colour), *numbers, said)
    return table if deliveries else Text("No deliveries.")


def freshness_line(freshness: Freshness) -> str:
    """How fresh the balances are, in words."""
    if freshness.applied_at is None:
        return "Nothing was posted yet."
    if freshness.lag_records is None:
        lag = "the topic's end is not known"
    elif freshness.lag_s and not freshness.lag_records:
        lag = f"no worker has looked at the topic for {freshness.lag_s:.0f} s"
    else:
        lag = f"{freshness.lag_records:,} records behind"
    return f"Last posted {freshness.applied_at:%Y-%m-%d %H:%M:%S} UTC, {lag}."


def _charges(charges: list[Charge]) -> Table:
    table = plain_table("account", "period", right=("charge TPP", "before", "after", "cap"), left=("status",))
    for charge in charges:
        table.add_row(
            charge.account,
            charge.period,
            f"{charge.tpp:+,}",
            f"{charge.before_tpp:,}",
            f"{charge.after_tpp:,}",
            amount(charge.cap_tpp),
            Text(charge.status, COLOUR_OF_STATUS[charge.status]),
        )
    return table


class _PlainTable(Table):
    """A table that says a stranger's words in one line, and whose unbroken columns are whole.

    A terminal too narrow for it breaks the lines, and loses nothing.
    """

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """As any table's. A cell that is no more than a string is a stranger's; a `Text` is left as it is."""
        super().add_row(*(Text(in_one_line(cell)) if isinstance(cell, str) else cell for cell in cells), **options)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        whole = options.update(max_width=_WIDTH_IN_PIPES)
        width = 0
        for column in self.columns:
            cells = (column.header, *column.cells)
            needed = max(Measurement.get(console, whole, cell).maximum for cell in cells)
            width += 1 + (needed if column.no_wrap else min(needed, _BROKEN_MIN))
        return super().__rich_console__(console, options.update(max_width=max(options.max_width, width)))


def plain_table(first: str, *then: str, right: tuple[str, ...], left: tuple[str, ...]) -> Table:
    """A table of which only the first column may be broken: an amount is never cut."""
    table = _PlainTable(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column(first, overflow="fold")
    for heading in then:
        table.add_column(heading, no_wrap=True)
    for heading in right:
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in left:
        table.add_column(heading, no_wrap=True)
    return table


def plain_sheet() -> Table:
    """Rows of a name and what there is to say of it."""
    sheet = Table(box=None, show_header=False, pad_edge=False)
    sheet.add_column(style="dim", no_wrap=True)
    sheet.add_column()
    return sheet


def percent(ratio: float | None) -> str:
    """A share in percent, to one decimal; empty where there is no cap to take a share of."""
    return "" if ratio is None else f"{100 * ratio:.1f}"


def amount(tpp: int | None) -> str:
    """TPP of a cap."""
    return "no cap" if tpp is None else f"{tpp:,}"
