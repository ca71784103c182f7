"""The terminal that commands print on: what strangers wrote is shown as it stands, and neither styles nor steers it."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from schemas.plain_text import visible


class Terminal(Console):
    """A console of rich without markup: `[red]` in an event's name is text. Nor does an escape sequence do anything.

    Args:
        stderr: whether it prints there, and not on standard output.
        soft_wrap: whether lines are left as long as they are.
    """

    def __init__(self, *, stderr: bool = False, soft_wrap: bool = False) -> None:
        super().__init__(stderr=stderr, soft_wrap=soft_wrap, highlight=False, markup=False, emoji=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is printed, piece by piece."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else visible(text, but="\n\t"), style, control)

    def on_broken_pipe(self) -> None:
        """Whoever read has gone: for the command to end by, as where it prints without a console."""
        raise BrokenPipeError
