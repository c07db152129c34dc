"""Ids of subjects, cases and recordings: what an id may be, and ids that differ in writing only."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

MOST_BYTES = 200  # ids are parts of file names
DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"), "-")
# small Cyrillic and Greek letters whose large or small forms look like Latin ones
LOOKALIKES = str.maketrans("авекмнорстухіјѕαβεζηικμνορτυχ", "abekmhopctyxijsabezhikmnoptyx")


def problem_of(name: str) -> str | None:
    """Why a string cannot be an id, or None."""
    if not name.strip():
        return "it is empty"
    if "/" in name or "\\" in name:
        return "it contains a separator of paths"
    if name.startswith("."):
        return "it begins with a dot"
    if any(unicodedata.category(letter).startswith("C") for letter in name):
        return "it contains a control character"
    if len(name.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        return f"it is longer than {MOST_BYTES} bytes"
    return None


def folded(name: str) -> str:
    """The form in which ids that differ in writing only are the same.

    In one Unicode form and case, with single blanks and none around it, one kind of dash, Latin letters for those that
    look like them, no zeros before a number, and no decimals of a whole number: `P01 ` is `p1`, and `12.0` is `12`.
    """
    name = " ".join(unicodedata.normalize("NFKC", name).casefold().split()).translate(DASHES | LOOKALIKES)
    return re.sub(r"(?<![\d.])0+(?=\d)", "", re.sub(r"^(\d+)\.0+$", r"\1", name))


def same_but_for_writing(names: Iterable[str]) -> tuple[str, str] | None:
    """The first two distinct ids that have the same folded form, or None."""
    first_of_form: dict[str, str] = {}
    for name in names:
        first = first_of_form.setdefault(folded(name), name)
        if first != name:
            return first, name
    return None
