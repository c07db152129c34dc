"""Tables and texts as users save them: what is read alike, and errors that name file, line and column."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from auscult.datasets.errors import DatasetError
from auscult.datasets.tables import read_table, read_text


@pytest.fixture
def table(tmp_path: Path):
    def table(content: str | bytes, *numbers: str) -> pd.DataFrame:
        path = tmp_path / "t.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(path, numbers)

    return table


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_tables_of_any_line_end_read_alike(table, newline: str, mark: str) -> None:
    rows = table(newline.join([f"{mark}case,x,y", "007,1.5,NA", '"1,2",,"a\u2028b"', "", "1e5, 3,"]), "x")
    assert list(rows["case"]) == ["007", "1,2", "1e5"]
    assert list(rows["y"]) == ["NA", "a\u2028b", ""]
    assert rows["x"].tolist()[::2] == [1.5, 3.0]
    assert np.isnan(rows["x"][1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1 should name the columns"),
        ("\n\n", "line 1 should name the columns"),
        ("case,x\na,1\nb,1,extra\n", "line 3: 3 cells under 2 columns; every row needs a cell"),
        ("case,x\na,1,2\nb,1,2\n", "line 2: 3 cells under 2 columns"),  # pandas would use the ids as an index
        ("case,x\na\n", "line 2: 1 cells under 2 columns"),
        ("case,x,x\na,1,2\n", "line 1: the column 'x' is named twice"),
        ('case,x\n"a,1\nb,2\n', "not readable as CSV"),
        ("case,x\na,1\nZoë,2\n".encode("latin-1"), "line 3: not UTF-8 (byte 0xeb); save it as UTF-8"),
        ("case,x\na,1\n".encode("utf-16"), "line 1: not UTF-8"),
        (b"case,x\na,\x00\n", "line 2: a null byte"),
        ("case,x\na,1\nb,tall\n", "row 3, column 'x': 'tall' is not a number; leave the cell empty if there is none"),
        ("case,x\na,nan\n", "row 2, column 'x': 'nan' is not a number"),
        ("case,x\na,inf\n", "row 2, column 'x': 'inf' is not a number"),
        ('case,x\na,"1,5"\n', "row 2, column 'x': '1,5' is not a number"),
    ],
)
def test_a_bad_table_is_refused_with_its_line(table, tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(DatasetError) as error:
        table(content, "x")
    assert str(error.value).startswith(f"{tmp_path / 't.csv'}: ")
    assert message in str(error.value)


def test_an_empty_table_keeps_its_columns(table) -> None:
    assert list(table("case,x\n", "x").columns) == ["case", "x"]
    assert len(table("case,x\n", "x")) == 0


def test_texts(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes("\ufeffone\r\nZoë\r\n".encode())
    assert read_text(path).splitlines() == ["one", "Zoë"]
    path.write_bytes("one\r\nZoë\r\n".encode("latin-1"))
    with pytest.raises(DatasetError) as error:
        read_text(path)
    assert str(error.value) == f"{path}: line 2: not UTF-8 (byte 0xeb); save it as UTF-8"
    with pytest.raises(DatasetError, match=f"{tmp_path / 'none.txt'}: the file is not there"):
        read_text(tmp_path / "none.txt")


# ---------------------------------------------------------------- digest of the raw files
