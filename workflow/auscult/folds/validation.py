"""Draw the validation cases of a fold: whole groups, a share of the cases, labels in proportion."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from auscult.folds.planned import FoldError


def draw_validation(
    rest: np.ndarray, keys: np.ndarray, groups: np.ndarray, share: float, seed: int, key: str
) -> np.ndarray:
    """Return the validation positions among `rest`: complete groups, labels (`keys`) in proportion.

    A share 1/k is the first of k stratified parts, if its size differs from the share by less than a group of mean
    size. Otherwise the number of cases is the one nearest to the share that whole groups can have. At least one group
    is drawn, and at least one is left to train on.

    Raises FoldError that names `key`, the study's key of the share, for fewer than two groups.
    """
    group_numbers, group_names = pd.factorize(groups[rest])
    group_count = len(group_names)
    if group_count < 2:
        raise FoldError(
            f"{key}: the cases that are not test cases are {group_count} group{'s' if group_count != 1 else ''}, and "
            "validation and training need one each; use more data or another protocol.group"
        )
    part_count = round(1 / share)
    if 2 <= part_count <= group_count and math.isclose(share * part_count, 1):
        val = _first_part(part_count, keys[rest], groups[rest], seed)
        if len(val) and abs(len(val) - share * len(rest)) < len(rest) / group_count:
            return rest[val]
    key_numbers, key_names = pd.factorize(keys[rest])
    counts = np.zeros((group_count, len(key_names)), dtype=int)
    np.add.at(counts, (group_numbers, key_numbers), 1)
    is_val = _nearest_groups(counts, share, np.random.default_rng(seed))
    return rest[is_val[group_numbers]]


def _first_part(part_count: int, keys: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """Return the positions in the first of some stratified parts; none if the labels cannot be divided so."""
    splitter = StratifiedGroupKFold(part_count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        try:
            return next(splitter.split(keys, keys, groups))[1]
        except ValueError:  # no class has so many cases
            return np.array([], dtype=int)


def _nearest_groups(counts: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return which groups validate: their number of cases is the nearest to the share that whole groups can have.

    counts: cases of each group by label (groups, labels). From the largest group to the smallest, a group validates if
    this brings the labels of the validation cases so far nearer to their proportion, and if the rest can still be met.
    """
    sizes = counts.sum(axis=1)
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    sizes_in_order = sizes[order].tolist()
    # reachable[i]: bit n is 1 if the groups from i on can have n cases; the last groups have one size and need no bits
    uniform_from = sizes_in_order.index(sizes_in_order[-1])
    last_size = sizes_in_order[-1]
    bits = sum(1 << (last_size * number) for number in range(len(order) - uniform_from + 1))
    reachable = [bits]
    for size in reversed(sizes_in_order[:uniform_from]):
        bits |= bits << size
        reachable.append(bits)
    reachable.reverse()
    remaining = _nearest_count(bits, share, int(sizes.sum()))

    def can_have(position: int, count: int) -> bool:
        """Whether the groups from a position on can have so many cases."""
        if count < 0:
            return False
        if position <= uniform_from:
            return bool(reachable[position] >> count & 1)
        return count % last_size == 0 and count // last_size <= len(order) - position

    drawn_share, totals = remaining / sizes.sum(), counts.sum(axis=0)
    is_val = np.zeros(len(sizes), dtype=bool)
    excess = np.zeros(counts.shape[1])  # of validation cases over their proportion, by label
    for position, group in enumerate(order):
        if_trained = excess - drawn_share * counts[group]
        if_validated = if_trained + counts[group]
        is_better = np.sum((if_validated / totals) ** 2) < np.sum((if_trained / totals) ** 2)
        can_validate = can_have(position + 1, remaining - sizes_in_order[position])
        can_train = can_have(position + 1, remaining)
        is_val[group] = can_validate and (is_better or not can_train)
        excess = if_validated if is_val[group] else if_trained
        remaining -= sizes_in_order[position] if is_val[group] else 0
    return is_val


def _nearest_count(bits: int, share: float, total: int) -> int:
    """Return the number of cases, of those whose bit is 1, that is nearest to the share, without 0 and all cases."""
    target = share * total
    possible = [number for number, bit in enumerate(reversed(f"{bits:b}")) if bit == "1" and 0 < number < total]
    return min(possible, key=lambda number: abs(number - target))
