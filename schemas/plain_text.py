"""What strangers wrote, as a person may be shown it: without signs that cannot be seen but steer what can.

Markup is none of this: what means something to Slack, HTML or a spreadsheet is escaped where it goes there.
"""


def visible(text: str, *, but: str = "") -> str:
    """The text with a space for each control, direction mark, zero-width or unassigned character.

    Args:
        text: anything.
        but: characters that may stay all the same, such as line breaks.
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign in but else " " for sign in text)


def in_one_line(text: str) -> str:
    """The same with no more than one space anywhere: a line of its own cannot be feigned within it."""
    return " ".join(visible(text).split())
