"""Ids: what cannot be one, and ids that differ in writing only, in any writing."""

import re
import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from auscult.datasets.ids import folded, plain, problem_of, same_but_for_writing

NAMES = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="/\\"), min_size=1, max_size=8).filter(
    lambda name: not name.startswith(".")
)


@given(NAMES)
def test_any_other_text_is_an_id(name):
    assert problem_of(name) is None


@given(NAMES, st.integers(0, 8), st.sampled_from(["/", "\\", "\0", "\n", "\x7f", "\u202e"]))
def test_a_separator_or_control_character_anywhere_is_refused(name, place, letter):
    assert problem_of(name[:place] + letter + name[place:])


@pytest.mark.parametrize("name", ["", " ", "\t", ".", "..", ".hidden", "x" * 201, "ä" * 101])
def test_what_cannot_be_a_file_name_is_refused(name):
    assert problem_of(name)


@st.composite
def rewritten(draw):
    """An id, and the same in another writing."""
    name = draw(NAMES)
    change = draw(st.sampled_from(["case", "blank", "zeros", "form"]))
    if change == "case":
        return name, name.swapcase()
    if change == "blank":
        return name, draw(st.sampled_from([f" {name}", f"{name} ", f"{name}\u00a0"]))
    if change == "zeros":
        return f"p7{name}", f"p{'0' * draw(st.integers(1, 4))}7{name}"
    return unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)


@given(rewritten(), st.lists(NAMES, max_size=4), st.randoms())
def test_another_writing_anywhere_among_others_is_found(pair, others, random):
    first, second = pair
    assume(first != second and folded(first) == folded(second))  # some letters have two forms in one case
    names = [first, second, *others]
    random.shuffle(names)
    found = same_but_for_writing(names)
    assert found and folded(found[0]) == folded(found[1]) and found[0] != found[1]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("P01", "p01"),
        ("p01", "p01 "),
        ("007", "7"),
        ("p1", "p01"),
        ("Jose\u0301", "José"),
        ("ｐ1", "p1"),
        ("a10", "A010"),
        ("a-1", "a1"),
        ("P 01", "p_1"),
        ("p1.0", "p1"),
        ("#7", "7"),
        ("1_2", "1-2"),
        ("A.B.", "AB"),
        ("J. D.", "jd"),
        ("p.7", "P7"),
    ],
)
def test_pairs_that_are_one(first, second):
    assert same_but_for_writing([first, "other", second]) == (first, second)


@pytest.mark.parametrize(
    ("first", "second"), [("p1", "p10"), ("p01", "p10"), ("a-1", "a-11"), ("10", "1"), ("1.2", "12")]
)
def test_pairs_that_are_two(first, second):
    assert same_but_for_writing([first, second]) is None


@given(st.lists(st.integers(0, 10**6), unique=True))
def test_numbers_are_their_own_ids(numbers):
    assert same_but_for_writing(map(str, numbers)) is None


@pytest.mark.parametrize(("first", "second"), [("-1", "1"), ("A-", "A"), ("A!", "A?"), ("1-AVB", "1 AVB"), ("01", "1")])
def test_words_that_differ_in_a_sign_stay_distinct(first, second):
    assert plain(first) != plain(second)


@pytest.mark.parametrize(("first", "second"), [("Yes", "yes "), ("M\u0406", "mi"), ("a\u2013b", "A-b"), ("É", "e")])
def test_words_that_are_one(first, second):
    assert same_but_for_writing([first, second], plain) == (first, second)


DRESSES = [
    lambda name: name.replace(" ", "  "),
    lambda name: name.replace("-", "\u2013"),
    lambda name: name.replace("P", "\u0420"),
    lambda name: name.replace("a", "\u0430"),
    lambda name: name.replace("A", "\u0391"),
    lambda name: f"{name}.0" if name.isdecimal() else name,
    lambda name: f"{name}.00" if name.isdecimal() else name,
    lambda name: f"{name}.0" if name[-1].isdecimal() else name,
    lambda name: name.replace(" ", "_"),
    lambda name: name.replace("-", " "),
    lambda name: name.replace("P", "P-"),
    lambda name: name.replace("a", "a\u0301"),
    lambda name: f"#{name}",
    str.upper,
]


@given(st.lists(st.sampled_from(["P", "A", "a", "b", "-", " ", "1", "7", "x"]), min_size=1, max_size=6), st.data())
def test_an_id_in_another_dress_is_found(letters, data):
    name = "".join(letters).strip()
    # a minus before a number is a part of it, which some of these would take away
    assume(any(letter.isalnum() for letter in name) and not re.match(r"-\d", name))
    other = data.draw(st.sampled_from(DRESSES))(name)
    assert folded(other) == folded(name)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("-1", "1"),
        ("A-1", "-1"),
        ("1.5", "1.50"),
        ("1.05", "1.5"),
        ("1.01", "1.1"),
        ("p1.01", "p1.1"),
        ("10", "1"),
        ("1.0.0", "1"),
        ("P1-2", "P12"),
    ],
)
def test_other_ids_stay_distinct(first, second):
    assert same_but_for_writing([first, second]) is None


@pytest.mark.parametrize(
    ("first", "second"),
    [("P1.", "P1"), ("No. 1", "No 1"), ("12.", "12"), ("١٢", "12"), ("１２", "12"), ("a..", "a")],
)
def test_trailing_dots_and_digits_of_other_scripts_make_no_other_id(first, second):
    assert same_but_for_writing([first, second]) == (first, second)


@pytest.mark.parametrize("letter", ["️", "ㅤ", "⠀", "ᅟ", "ﾠ"])
def test_invisible_letters_are_refused(letter):
    for name in (f"P1{letter}", f"{letter}P1", f"P{letter}1"):
        assert "invisible" in problem_of(name)
