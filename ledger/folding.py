"""Names compared as a person reads them: without case, compatibility forms, look-alike letters, invisible characters.

Where a name begins and ends is not decided here.
"""

import re
import unicodedata

_LOOK_ALIKES = {
    "a": "АаΑαᎪɑᴀ",
    "b": "ВвΒβᏴʙ",
    "c": "СсϹϲᏟᴄⅽ",  # noqa: RUF001
    "d": "ԀԁᎠᴅđɗ",
    "e": "ЕеΕεЭэᎬᴇєЄɛ",
    "g": "ɡԌԍɢ",
    "h": "НнΗһҺᎻʜ",
    "i": "ІіΙιıɪ",  # noqa: RUF001
    "j": "Јј",  # noqa: RUF001
    "k": "КкΚκᏦᴋ",
    "l": "ӀӏᏞʟɩ",
    "m": "МмΜᎷᴍϺ",
    "n": "ΝηИиПпᴎɴոռŋ",
    "o": "ОоΟοσᴏօ",  # noqa: RUF001
    "p": "РрΡρᏢᴘ",
    "r": "ЯяГгᖇʀ",
    "s": "ЅѕςᏚꜱʂ",
    "t": "ТтΤτᎢᴛ",
    "u": "υսᴜцЦ",
    "v": "νѴѵᏙᴠ",  # noqa: RUF001
    "w": "ԜԝωᎳᴡшШ",
    "x": "ХхΧχ",
    "y": "УуΥүҮʏ",  # noqa: RUF001
    "z": "ΖᏃᴢ",  # noqa: RUF001
}
_TO_LATIN: dict[int, str | None] = {
    ord(foreign): latin for latin, foreigners in _LOOK_ALIKES.items() for foreign in foreigners
}
_TO_LATIN |= {first + n: chr(ord("a") + n) for first in (0x1F150, 0x1F170) for n in range(26)}
"""White letters in black circles and squares, which have no compatibility form."""
_TO_LATIN |= {ord(sign): None for sign in "™®©"}
_TO_LATIN |= dict.fromkeys((0x115F, 0x1160, 0x3164, 0xFFA0))
"""And Hangul fillers: letters by category, blank to the eye."""

_apart = re.compile(r"[^\w+]|_")


def fold(text: str) -> str:
    """The text in small Latin letters as it looks, with its spaces and signs."""
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKD", text.translate(_TO_LATIN))
    text = "".join(char for char in text if unicodedata.category(char)[0] != "M" and unicodedata.category(char) != "Cf")
    return text.translate(_TO_LATIN).casefold()


def squeeze(folded: str) -> str:
    """Folded text without anything but letters, digits and plus signs: "H100-SXM5 80GB" -> "h100sxm580gb"."""
    return _apart.sub("", folded)


def shorten(text: str, length_max: int = 80) -> str:
    """The text as it is shown to a person: its beginning, if it is long."""
    return text if len(text) <= length_max else text[: length_max - 3] + "..."
