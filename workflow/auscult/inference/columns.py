"""Columns that the tables of `aggregate` have for single networks, of several that are averaged."""

from __future__ import annotations

import pandas as pd

from auscult.heads.outputs import class_columns


def largest_column(output: str) -> str:
    """Column of cases: the largest probability of an output over the recordings, of each network, then their mean.

    No target has a `|` in its name, so that no class column is the same.
    """
    return f"max|{output}"


def network_columns(classes: list[str], target: str, number: int) -> list[str]:
    """Columns of recordings: class probabilities of one network, `<number>|<target>:<class>`."""
    return [f"{number}|{column}" for column in class_columns(classes, target)]


def columns_of_networks(recordings: pd.DataFrame, classes: list[str], target: str) -> list[list[str]]:
    """The `network_columns` of every network that scored some recordings; [] where there is only one network.

    In a table of several roles, a role that fewer networks scored is empty in the columns of the others.
    """
    columns: list[list[str]] = []
    while set(names := network_columns(classes, target, len(columns))) <= set(recordings):
        if recordings[names].isna().any(axis=None):
            break
        columns.append(names)
    return columns
