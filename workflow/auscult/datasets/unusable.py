"""The exception for a recording that cannot be used."""


class Unusable(Exception):
    """A recording that must be dropped: `problem` and `detail` are cells of its row in quality.csv."""

    def __init__(self, problem: str, detail: str) -> None:
        super().__init__(problem, detail)  # all arguments, so that it can be pickled between processes
        self.problem = problem
        self.detail = detail

    def __str__(self) -> str:
        return self.detail
