"""Tables that jobs hand to each other: names and ids are read as they were written."""

import pandas as pd
from hypothesis import HealthCheck, given, settings

from auscult.result_tables import TEXT_COLUMNS, read_rows, read_table
from tests.names import distinct


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=distinct(2, 5))
def test_any_name_in_any_column_of_text(tmp_path, names):
    path = tmp_path / "rows.csv"
    for values in (names, names[:1], ["null"], ["true"], ["inf"]):
        table = pd.DataFrame(dict.fromkeys(TEXT_COLUMNS, values))
        table.assign(**{f"dx:{name}": 0.5 for name in names}).to_csv(path, index=False)
        for rows in (read_rows(path), read_table(path)):
            for column in table:
                assert rows[column].tolist() == values
            assert all(rows[f"dx:{name}"].tolist() == [0.5] * len(values) for name in names)


def test_an_empty_text_of_a_row_stays_empty_and_an_empty_number_is_missing(tmp_path):
    (tmp_path / "rows.csv").write_text("case,label,p_a\n1,,\n007,NA,0.5\n")
    rows = read_rows(tmp_path / "rows.csv")
    assert rows[["case", "label"]].to_numpy().tolist() == [["1", ""], ["007", "NA"]]
    assert rows["p_a"].isna().tolist() == [True, False]
    assert read_table(tmp_path / "rows.csv")["label"].isna().tolist() == [True, False]
