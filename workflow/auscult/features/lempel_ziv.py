"""Compiled Lempel–Ziv complexity in linear time, by a suffix automaton of the part of the sequence that was read."""

from __future__ import annotations

import numba
import numpy as np


def lempel_ziv_complexity(x: np.ndarray) -> float:
    """Return the normalised complexity of a binary sequence (n,) bool, n at least 2 (Lempel and Ziv 1976).

    It is the number of phrases, times log2(n) / n, as in antropy. A phrase ends with the first sample that makes it
    differ from all earlier parts of the sequence; the last one may be incomplete.
    """
    return float(_phrases(np.ascontiguousarray(x, dtype=np.uint8)) * np.log2(len(x)) / len(x))


@numba.njit(cache=True)
def _phrases(x: np.ndarray) -> int:
    """Return the number of phrases of a sequence of 0 and 1.

    A state of the automaton is a set of parts that end at the same places. `longest` is the length of its longest part,
    `parent` the state of the longest ending that is not in the set, `next_state` where a further symbol leads (or -1).
    """
    n = len(x)
    next_state = np.full((2 * n, 2), -1, np.int32)
    parent, longest = np.full(2 * n, -1, np.int32), np.zeros(2 * n, np.int32)
    states, last = 1, 0
    phrases = state = 0  # the current phrase leads to `state`; an empty one to 0
    for position in range(n):
        symbol = x[position]
        # the automaton has the samples before this one
        if next_state[state, symbol] >= 0:
            state = next_state[state, symbol]
        else:
            phrases, state = phrases + 1, 0
        # one more sample for the automaton
        new, states = states, states + 1
        longest[new] = longest[last] + 1
        at = last
        while at >= 0 and next_state[at, symbol] < 0:
            next_state[at, symbol] = new
            at = parent[at]
        if at < 0:
            parent[new] = 0
        else:
            target = next_state[at, symbol]
            if longest[target] == longest[at] + 1:
                parent[new] = target
            else:
                copy, states = states, states + 1
                longest[copy], parent[copy] = longest[at] + 1, parent[target]
                next_state[copy] = next_state[target]
                while at >= 0 and next_state[at, symbol] == target:
                    next_state[at, symbol] = copy
                    at = parent[at]
                parent[target] = parent[new] = copy
        last = new
    return phrases + (state > 0)
