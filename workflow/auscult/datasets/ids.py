"""Ids of subjects, cases and recordings: what an id may be, and ids that differ in writing only."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable

MOST_BYTES = 200  # ids are parts of file names
DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"), "-")
# small Cyrillic and Greek letters whose large or small forms look like Latin ones
LOOKALIKES = str.maketrans("авекмнорстухіјѕһӏԁԛԝьαβεζηικμνορτυχıɑ", "abekmhopctyxijshldqwbabezhikmnoptyxia")


INVISIBLE = {*map(chr, range(0xFE00, 0xFE10)), "\u115f", "\u1160", "\u3164", "\uffa0", "\u2800"}
"""Letters and marks that no page shows, beside those of the categories C and Z."""


def problem_of(name: str) -> str | None:
    """Why a string cannot be an id, or None."""
    if not name.strip():
        return "it is empty"
    if "/" in name or "\\" in name:
        return "it contains a separator of paths"
    if name.startswith("."):
        return "it begins with a dot"
    if any(unicodedata.category(letter).startswith("C") or letter in INVISIBLE for letter in name):
        return "it contains a control character or an invisible letter"
    if len(name.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        return f"it is longer than {MOST_BYTES} bytes"
    return None


def plain(text: str) -> str:
    """A text in one case and Unicode form, with single blanks and none around it, one kind of dash, and no accents.

    Latin letters stand for those that look like them.
    """
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    letters = [x for x in decomposed if not "\u0300" <= x <= "\u036f" and unicodedata.category(x) != "Cf"]
    latin = "".join(letters).translate(DASHES | LOOKALIKES)
    return " ".join("".join(str(unicodedata.decimal(letter, letter)) for letter in latin).split())


def folded(name: str) -> str:
    """The form in which ids that differ in writing only are the same.

    `plain`, without zeros before a number, and without decimals of a whole number. Blanks and punctuation count only
    between two digits, and a minus before a number: `P 01` and `p-1` are `p1`, `A.B.` is `ab`, `12.0` is `12`, and
    `1_2` is `1-2`.
    """
    text = re.sub(r"(?<![\d.])(\d+)\.0+$", r"\1", re.sub(r"(?<!\d)\.+|\.+(?!\d)", "", plain(name)))
    sign = "-" if re.match(r"-\d", text) else ""
    marked = "".join("-" if unicodedata.category(x)[0] in "ZP" and x != "." else x for x in text)
    joined = re.sub(r"-+", "-", re.sub(r"(?<!\d)-+|-+(?!\d)", "", marked))
    return sign + re.sub(r"(?<![\d.])0+(?=\d)", "", joined) if joined else text


def same_but_for_writing(names: Iterable[str], form: Callable[[str], str] = folded) -> tuple[str, str] | None:
    """The first two distinct names that have the same form, or None. form: `folded` of ids, `plain` of words."""
    first_of_form: dict[str, str] = {}
    for name in names:
        first = first_of_form.setdefault(form(name), name)
        if first != name:
            return first, name
    return None
