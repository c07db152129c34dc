"""What a training or scoring job works with: the network and its fold, the cached frames, and what it computes on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auscult import features
from auscult.cache.store import Cache, open_cache
from auscult.config.systems import System, Task
from auscult.plan.names import NetworkName


@dataclass(frozen=True)
class Job:
    """One network: its model folder, its configuration, and its name, which says on which fold it is trained.

    weights: the file that its training starts from, None for random weights.
    """

    folder: Path
    system: System
    task: Task
    name: NetworkName
    weights: Path | None = None

    @property
    def seed(self) -> int:
        """Seed of this network: different for every fold, inner fold and member of an ensemble."""
        return seed_of(self.name, self.system.training.seed)

    @property
    def front_end(self) -> features.FrontEnd:
        """The front end that makes the frames which the network reads."""
        return features.front_end(self.system.front_end.name, self.system.front_end.settings)

    def config(self) -> dict[str, Any]:
        """All of the configuration that the weights depend on."""
        training = self.system.training.model_dump(exclude={"seed", "seeds"})
        return {
            "task": self.task.model_dump(),
            "front_end": self.system.front_end.model_dump(),
            "segment": self.system.segment.model_dump(),
            "network": self.system.network.model_dump(),
            "training": training,
            "seed": self.seed,
        }


def seed_of(name: NetworkName, seed: int) -> int:
    """Seed of a training, from that of its settings.

    Another one for every fold, inner fold and member of an ensemble, with up to ten repeats of up to a hundred folds.
    """
    inner = 0 if name.inner is None else 1_000_000_007 * (name.inner + 1)
    return (seed * 1009 + (name.seed or 0)) * 1009 + name.repeat * 101 + name.fold + inner


@dataclass(frozen=True)
class FrameCache:
    """The cached frames of a data set: the folder of their shards, and the configuration they must be made with."""

    folder: Path
    config: dict[str, Any]

    def open(self) -> Cache:
        """The cache, open for reading. Raises CacheError when it is damaged or made with another configuration."""
        return open_cache(self.folder, self.config)


@dataclass(frozen=True)
class Resources:
    """What a job computes on: the folder of the GPUs' lock files, CPU threads, and networks that share a GPU."""

    locks: Path
    threads: int
    networks_per_gpu: int = 1
