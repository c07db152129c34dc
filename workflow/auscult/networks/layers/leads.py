"""The channels that a network reads, for a student of fewer leads than its teacher."""

from __future__ import annotations


def chosen(leads: list[int] | None, channels: int) -> list[int]:
    """Return the numbers of the channels to read, all of them by default. Raises ValueError for a channel too high."""
    if leads is None:
        return list(range(channels))
    if len(set(leads)) < len(leads):
        raise ValueError("leads: a number occurs twice")
    if max(leads) >= channels:
        raise ValueError(f"leads: there is no channel {max(leads)}: the input has {channels}, numbered from 0")
    return leads
