"""Names of folds and networks: r0f3 is fold 3 of repeat 0, r0f3i1 its inner fold 1, r0f3i1s0 a network of one seed.

Such a name is a folder of results/, a wildcard of the rules and a cell of the tables; only this file knows its grammar.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_GRAMMAR = re.compile(r"r(\d+)f(\d+)(?:i(\d+))?(?:s(\d+))?")
_INNER_SET = "i"


@dataclass(frozen=True, order=True)
class NetworkName:
    """A fold, an inner fold, or one network of either; `str()` and `parse` are each other's inverse.

    `inner` is None for the fold itself; `seed` is None where one network is trained, else its number in the ensemble.
    """

    repeat: int
    fold: int
    inner: int | None = None
    seed: int | None = None

    def __str__(self) -> str:
        inner = "" if self.inner is None else f"i{self.inner}"
        seed = "" if self.seed is None else f"s{self.seed}"
        return f"r{self.repeat}f{self.fold}{inner}{seed}"

    @classmethod
    def parse(cls, text: str) -> NetworkName:
        """The name that `text` says. Raises ValueError for any other text."""
        match = _GRAMMAR.fullmatch(text)
        if (
            not match
            or str(name := cls(*(None if digits is None else int(digits) for digits in match.groups()))) != text
        ):
            raise ValueError(f"{text!r} is no name of a fold or network, such as r0f3, r0f3i1 or r0f3i1s0")
        return name

    @property
    def outer(self) -> NetworkName:
        """The fold that this is part of."""
        return NetworkName(self.repeat, self.fold)

    @property
    def is_inner(self) -> bool:
        """Whether this is an inner fold, or a network of one."""
        return self.inner is not None

    def with_seed(self, seed: int | None) -> NetworkName:
        """The network of one seed on the same fold or inner fold."""
        return replace(self, seed=seed)


def inner_set(fold: NetworkName | str) -> str:
    """Name under which the outputs of all inner folds of a fold are kept together: r0f3i."""
    return f"{fold}{_INNER_SET}"


def is_inner_set(text: str) -> bool:
    """Whether a name is one of `inner_set`."""
    return text.endswith(_INNER_SET)


def fold_of_set(text: str) -> NetworkName:
    """The fold whose outputs lie under this name: r0f3 for r0f3 and for r0f3i."""
    return NetworkName.parse(text.removesuffix(_INNER_SET))
