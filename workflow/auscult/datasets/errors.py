"""The exceptions for a release that is inconsistent, and for a recording that cannot be used."""


class DatasetError(Exception):
    """A structural error of a release: its files, labels or subjects are inconsistent."""


class Unusable(Exception):
    """A recording that must be dropped: `problem` and `detail` are cells of its row in quality.csv."""

    def __init__(self, problem: str, detail: str) -> None:
        super().__init__(problem, detail)  # all arguments, so that it can be pickled between processes
        self.problem = problem
        self.detail = detail

    def __str__(self) -> str:
        return self.detail
