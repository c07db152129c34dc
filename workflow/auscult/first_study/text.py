"""The study file: values as YAML, with the reason of each choice as a comment above it."""

from __future__ import annotations

import textwrap
from typing import Any

import yaml

from auscult.first_study.choices import Draft

WIDTH = 110


def study_file(study: Draft) -> str:
    """Return the text of a study file."""
    lines = ["# Written by `snakemake plan`; every choice has its reason, and every value may be changed.", ""]
    for key, value in study.values.items():
        if value not in ({}, []):
            lines += [*_lines(key, value, key, study.why, 0), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _lines(key: str, value: Any, path: str, why: dict[str, str], depth: int) -> list[str]:
    """The lines of one key; a mapping with a reason below it, or without a short form, has a line per key."""
    indent = "  " * depth
    lines = []
    if path in why:
        lines += textwrap.wrap(
            why[path], WIDTH - len(indent), initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# "
        )
    short = f"{indent}{_flow(key)}: {_flow(value)}"
    has_reasons = any(other.startswith(f"{path}.") for other in why)
    if isinstance(value, dict) and value and (has_reasons or depth == 0 or len(short) > WIDTH):
        lines.append(f"{indent}{_flow(key)}:")
        for name, inner in value.items():
            lines += _lines(str(name), inner, f"{path}.{name}", why, depth + 1)
    else:
        lines.append(short)
    return lines


def _flow(value: Any) -> str:
    """A value on one line, quoted where YAML needs it."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**9, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
