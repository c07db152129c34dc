"""The columns of the rows that a served model receives."""

from hypothesis import given

from auscult.prediction.rows import INPUTS, covariate_column
from tests.names import distinct


@given(names=distinct(1, 8))
def test_no_covariate_has_the_column_of_another_input(names):
    names = list(dict.fromkeys([*names, *INPUTS, *(f"cases:{name}" for name in INPUTS)]))
    columns = [covariate_column(name) for name in names]
    assert len({*columns, *INPUTS}) == len(names) + len(INPUTS)
    assert covariate_column("age_months") == "age_months"
