"""A study as a plain script: python -m benchmarks.plain_study ROOT FOLDS.CSV EPOCHS prints its scores as JSON.

For every fold and front end it reads the WAVs, computes log-mels by librosa, trains a network on all cases outside the
test set and one on each half of them, and scores the test cases by stochastic passes, one pass after another. PyTorch
uses the cores as it does without settings. What such scripts leave out is left out: caches, audits, checkpoints,
thresholds, intervals, figures.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from auscult import networks
from auscult.networks.layers.dropout import set_stochastic

WINDOW, STEP, BANDS = 250, 188, 40  # frames of 16 ms: windows of 4 s, every 3 s
CROPS, BATCH, PASSES = 4, 64, 10


class Windows(Dataset):
    """Windows at random places of recordings; x: log-mels (channels, frames, bands), y: labels (2,)."""

    def __init__(self, x: list[np.ndarray], y: list[np.ndarray]) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return CROPS * len(self.x)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.x[number // CROPS]
        start = np.random.randint(max(1, x.shape[1] - WINDOW + 1))
        return torch.from_numpy(cut(x, start)), torch.from_numpy(self.y[number // CROPS])


def cut(x: np.ndarray, start: int) -> np.ndarray:
    """The window (channels, WINDOW, bands) from a frame on, with zeros after the end."""
    window = x[:, start : start + WINDOW]
    return np.pad(window, ((0, 0), (0, WINDOW - window.shape[1]), (0, 0))).astype(np.float32)


def log_mels(wav: Path, both: bool) -> np.ndarray:
    """Log-mels (channels, frames, bands) of a file, normalised by band, and by recording too if `both`."""
    samples, rate = librosa.load(wav, sr=None)
    power = librosa.feature.melspectrogram(
        y=samples, sr=rate, n_fft=256, hop_length=64, n_mels=BANDS, fmin=20, fmax=1000, htk=True, norm=None
    )
    log = np.log(power + 1e-8).T
    by_band = (log - log.mean(axis=0)) / log.std(axis=0).clip(0.1)
    return np.stack([(log - log.mean()) / log.std(), by_band] if both else [by_band])


def train_network(network: torch.nn.Module, windows: Windows, epochs: int) -> torch.nn.Module:
    """The network after a loop over the windows, with mixup."""
    loader = DataLoader(windows, batch_size=BATCH, shuffle=True, drop_last=True)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.003)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * len(loader))
    network.train()
    for _ in range(epochs):
        for x, y in loader:
            share, other = np.random.beta(0.4, 0.4), torch.randperm(len(x))
            x, y = share * x + (1 - share) * x[other], share * y + (1 - share) * y[other]
            loss = functional.binary_cross_entropy_with_logits(network(x)[0], y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return network


def passes(network: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    """Probabilities (2,) of a recording: the mean over its windows and stochastic passes."""
    starts = range(0, max(1, x.shape[1] - WINDOW + STEP), STEP)
    windows = torch.from_numpy(np.stack([cut(x, start) for start in starts]))
    network.eval()
    set_stochastic(network, True)
    with torch.no_grad():
        return torch.stack([network(windows)[0].sigmoid().mean(dim=0) for _ in range(PASSES)]).mean(dim=0).numpy()


def main(root: Path, folds_file: Path, epochs: int, options: dict) -> None:
    """Train and score all folds; print the AUROCs of Present and Unknown over the test cases of all folds."""
    torch.manual_seed(0)
    np.random.seed(0)
    labels = pd.read_csv(root / "training_data.csv", dtype=str).set_index("Patient ID")["Murmur"]
    folds = pd.read_csv(folds_file, dtype={"case": str})
    scores: dict[str, list[np.ndarray]] = {case: [] for case in labels.index}
    for _, roles in folds.groupby("fold"):
        test = set(roles.loc[roles["role"] == "test", "case"])
        fit = np.random.permutation([case for case in labels.index if case not in test])
        for both in (False, True):
            x = {case: [log_mels(wav, both) for wav in wavs_of(root, case)] for case in labels.index}
            for part in (fit, fit[::2], fit[1::2]):
                rows = [(one, marks(labels[case])) for case in part for one in x[case]]
                network = networks.build("dbresnet", options, (1 + both, WINDOW, BANDS), 2)
                train_network(network, Windows([row[0] for row in rows], [row[1] for row in rows]), epochs)
                for case in test:
                    of_recordings = np.array([passes(network, one) for one in x[case]])
                    scores[case].append(np.array([of_recordings[:, 0].max(), of_recordings[:, 1].min()]))
    found = pd.DataFrame({case: np.mean(each, axis=0) for case, each in scores.items()}, index=["p", "u"]).T
    murmur = labels[found.index]
    unknown = (1 - found["p"]) * found["u"]
    present, poor = roc_auc_score(murmur == "Present", found["p"]), roc_auc_score(murmur == "Unknown", unknown)
    print(json.dumps({"Present": present, "Unknown": poor}))


def wavs_of(root: Path, case: str) -> list[Path]:
    """Recordings of a patient."""
    return sorted((root / "training_data").glob(f"{case}_*.wav"))


def marks(label: str) -> np.ndarray:
    """The labels of both heads: Present, Unknown."""
    return np.array([label == "Present", label == "Unknown"], np.float32)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4]))
