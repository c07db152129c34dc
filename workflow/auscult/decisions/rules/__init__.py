"""Decision rules: one rule, or the variants of one algorithm, per file.

A file here has `RULES`, a tuple of `auscult.decisions.rule.Rule`. A new file is all that a new rule needs: studies can
name it, `make reference` describes it, and jobs that decide run again.
"""

import importlib
from functools import cache
from pathlib import Path

from auscult.decisions.rule import Rule


def modules() -> list[str]:
    """Dotted names of the files of rules. They are imported by name: jobs that decide add them to their code."""
    files = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__")
    return [f"{__name__}.{name}" for name in files]


def names(kind: str | None = None) -> list[str]:
    """Names of the rules, all or those for a kind of target, sorted."""
    return sorted(name for name, rule in _registry().items() if kind is None or kind in rule.kinds)


def get(name: str) -> Rule:
    """The rule of a name. Raises KeyError for an unknown one."""
    return _registry()[name]


@cache
def _registry() -> dict[str, Rule]:
    registry: dict[str, Rule] = {}
    for module in modules():
        rules = getattr(importlib.import_module(module), "RULES", None)
        if not isinstance(rules, tuple):
            raise ValueError(f"{module}: needs RULES, a tuple of Rule, as `RULES = (Rule(…),)`")
        for rule in rules:
            if rule.name in registry:
                raise ValueError(f"{module}: there is a decision rule {rule.name!r} already")
            registry[rule.name] = rule
    return registry
