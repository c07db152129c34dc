"""One pre-training on one fold: its folder, its configuration, and its name, which says on which fold it is trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auscult import features
from auscult.config.systems import Head, Pretraining, Training
from auscult.plan.names import NetworkName
from auscult.pretraining import methods
from auscult.training.job import seed_of

DECLARATION = "weights.safetensors.json"
"""File that says which subjects the weights beside it were trained on, see `folds.weights`."""


@dataclass(frozen=True)
class PretrainingJob:
    """An encoder to train. name: of the fold or inner fold, None for one that serves all folds."""

    folder: Path
    pretraining: Pretraining
    name: NetworkName | None

    @property
    def seed(self) -> int:
        """Seed of this encoder: different for every fold and inner fold."""
        return seed_of(self.name or NetworkName(0, 0), self.pretraining.training.seed)

    @property
    def training(self) -> Training:
        """Its settings as those of a training on labels of which no case is scored: the last epoch is taken."""
        return Training(**self.pretraining.training.model_dump(), select="last")

    @property
    def front_end(self) -> features.FrontEnd:
        """The front end that makes the frames which the network reads."""
        return features.front_end(self.pretraining.front_end.name, self.pretraining.front_end.settings)

    @property
    def heads(self) -> dict[str, Head]:
        """The heads whose labels it learns; {} where it learns without labels."""
        return methods.heads(self.pretraining.method.name, self.pretraining.method.options)

    def config(self) -> dict[str, Any]:
        """All of the configuration that the weights depend on."""
        return {**self.pretraining.model_dump(exclude={"train_on": True, "training": {"seed"}}), "seed": self.seed}
