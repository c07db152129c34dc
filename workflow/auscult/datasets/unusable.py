"""Why a recording cannot be used."""


class Unusable(Exception):
    """A recording that must be dropped: `problem` is a word for quality.csv, the message its detail."""

    def __init__(self, problem: str, detail: str) -> None:
        super().__init__(problem, detail)  # all of them, so that it travels between processes
        self.problem = problem
        self.detail = detail

    def __str__(self) -> str:
        return self.detail
