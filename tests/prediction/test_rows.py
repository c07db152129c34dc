"""The columns of the rows that a served model receives."""

import pandas as pd
import pytest
from hypothesis import given

from auscult.prediction.rows import INPUTS, covariate_column, predict_rows
from tests.names import distinct


@given(names=distinct(1, 8))
def test_no_covariate_has_the_column_of_another_input(names):
    names = list(dict.fromkeys([*names, *INPUTS, *(f"cases:{name}" for name in INPUTS)]))
    columns = [covariate_column(name) for name in names]
    assert len({*columns, *INPUTS}) == len(names) + len(INPUTS)
    assert covariate_column("age_months") == "age_months"


@pytest.mark.parametrize("audio", [None, 0, "a.wav", float("nan")])
def test_audio_that_is_not_bytes_is_refused(audio):
    rows = pd.DataFrame({"case": ["a", "b"], "audio": [b"RIFF", audio]})
    with pytest.raises(ValueError, match="the column audio needs the bytes"):
        predict_rows(None, rows)
