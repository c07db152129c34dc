"""What cross-fitting and intervals count: subjects, or, if these are unknown, groups that a protocol keeps together."""

from __future__ import annotations

from dataclasses import replace

from auscult.datasets.base import Manifest


def with_units(manifest: Manifest, group: str) -> Manifest:
    """Return the manifest with the protocol's `group` as the subject of each case, if the data set names no subjects.

    Otherwise each case would count as a subject of its own, although the study says which cases depend on each other.
    """
    if manifest.subjects_known or group == "subject":
        return manifest
    return replace(manifest, cases=manifest.cases.assign(subject=manifest.cases[group]))
