"""What `up` shows: on a terminal balances that move under the alerts as they come, elsewhere plain lines."""

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from schemas.quota_alert import QuotaAlert
from schemas.quota_status import QuotaList
from streams.cli.tables import alert_line, quota_table
from streams.cli.terminal import Terminal

PLAIN_WIDTH = 130
_PLAIN_STEPS = 4


class View:
    """One screen, or one stream of lines. Use as a context while something moves."""

    def __init__(self) -> None:
        self._console = Terminal()
        if not self._console.is_terminal:
            self._console.width = PLAIN_WIDTH
        bar = (TextColumn("feeding the sample"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(*bar, console=self._console)
        self._task = self._progress.add_task("", total=None)
        self._total = 0
        self._balances: list[QuotaList] = []
        self._webhooks = ""
        self._live: Live | None = None

    def __enter__(self) -> Self:
        """Begin to show what moves."""
        if self._console.is_terminal:
            self._live = Live(self._moving(), console=self._console, refresh_per_second=8)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last state on the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        elif kind is None:
            self._console.print(self._moving())

    def say(self, text: str, style: str = "") -> None:
        """One line that stays."""
        self._line(Text(text, style))

    def alerts(self, alerts: Iterable[QuotaAlert]) -> None:
        """Alerts, one line each."""
        for alert in alerts:
            self._line(alert_line(alert))

    def fed(self, count: int, total: int) -> None:
        """How much of the sample is on the topic."""
        before = int(self._progress.tasks[0].completed)
        self._progress.update(self._task, completed=count, total=total)
        if not self._console.is_terminal and count * _PLAIN_STEPS // total > before * _PLAIN_STEPS // total:
            self.say(f"fed {count} of {total} events of the sample")
        self._refresh()

    def moved(self, balances: list[QuotaList]) -> None:
        """The balances of each period, as they are now."""
        self._balances = balances
        self._refresh()

    def webhooks(self, text: str) -> None:
        """What the local receiver says."""
        self._webhooks = text
        self._refresh()

    def _line(self, text: Text) -> None:
        self._console.print(text, soft_wrap=not self._console.is_terminal)

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.update(self._moving())

    def _moving(self) -> RenderableType:
        shown: list[RenderableType] = [self._progress] if self._console.is_terminal else []
        shown += [quota_table(*self._balances)] if self._balances else []
        return Group(*shown, Text(self._webhooks))
