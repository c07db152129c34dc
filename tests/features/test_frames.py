"""The caches of front ends and of statistics: computed from the cached audio, for any number of channels."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile

from auscult import features, provenance
from auscult.cache.audio import audio_config, cache_audio, read_audio
from auscult.cache.store import CacheError, open_cache, shard_of
from auscult.config.dataset import Dataset
from auscult.config.systems import FrontEndConfig
from auscult.features import frames
from auscult.features.frames import extract, folder_name, frames_config
from auscult.features.statistics import NAMES, statistics
from auscult.features.tables import describe, read_table

SHARDS = 3


def filled(name: str, **changes) -> FrontEndConfig:
    """Return a front end with complete settings, as in a loaded study."""
    return FrontEndConfig(name=name, settings=features.preset(name).model_dump() | changes)


class Release:
    """Write a few recordings as files and as cached audio."""

    def __init__(self, root: Path, rate: int, channels: int, count: int = 5) -> None:
        self.root = root
        self.data = Dataset(name="any", adapter="folder", root=str(root), rate_hz=rate, channels="all", shards=SHARDS)
        self.recordings = pd.DataFrame(
            {"recording": f"r{i}", "path": f"r{i}.wav", "sha256": "", "rate_hz": rate, "channels": channels}
            for i in range(count)
        ).assign(onset_s=None, offset_s=None)
        for i in range(count):
            self.change(i, i)
        self.cache()

    def change(self, number: int, seed: int) -> None:
        samples = np.random.default_rng(seed).normal(0, 0.2, (2 * self.data.rate_hz + 37 * number, 1))
        channels = int(self.recordings["channels"].iloc[0])
        samples = samples * np.linspace(0.5, 1.0, channels) + np.roll(samples, 3)
        soundfile.write(self.root / f"r{number}.wav", samples.clip(-1, 0.99), self.data.rate_hz)
        self.recordings.loc[number, "sha256"] = f"{number}-{seed}"

    def cache(self) -> None:
        cache_audio(self.root / "audio", self.recordings, self.data, "1", 1)

    def samples(self, name: str) -> np.ndarray:
        return read_audio(open_cache(self.root / "audio", audio_config(self.data)), name)

    def extract(self, front_end: FrontEndConfig, code: str = "1") -> dict[str, int]:
        audio = self.root / "audio"
        return extract(self.root / "frames", audio, self.recordings, self.data, front_end, code, 1)


@pytest.mark.parametrize(
    ("name", "rate", "channels"),
    [("band1k", 4000, 1), ("reference", 4000, 1), ("samples", 100, 12), ("samples", 100, 1)],
)
def test_frames_are_the_front_end_of_the_cached_audio(tmp_path: Path, name: str, rate: int, channels: int) -> None:
    release, front_end = Release(tmp_path, rate, channels), filled(name)
    assert release.extract(front_end) == {"written": SHARDS, "reused": 0}
    cache = open_cache(tmp_path / "frames", frames_config(release.data, front_end))
    computed = features.front_end(name, {})
    for recording in release.recordings["recording"]:
        expected = computed.compute(release.samples(recording), rate)
        assert expected.shape[1] == channels
        frames = cache.read(recording)
        assert frames.dtype == np.float16
        np.testing.assert_array_equal(frames, expected.astype(np.float16))
    assert cache.shape == expected.shape[1:]
    assert release.extract(front_end) == {"written": 0, "reused": SHARDS}


def test_changed_audio_changes_only_its_frames(tmp_path: Path) -> None:
    release, front_end = Release(tmp_path, 100, 1), filled("samples")
    release.extract(front_end)
    cache = open_cache(tmp_path / "frames", frames_config(release.data, front_end))
    before = {name: cache.read(name).copy() for name in release.recordings["recording"]}
    release.change(2, 99)
    release.cache()
    assert release.extract(front_end) == {"written": 1, "reused": SHARDS - 1}
    cache = open_cache(tmp_path / "frames", frames_config(release.data, front_end))
    changed = [name for name, frames in before.items() if not np.array_equal(cache.read(name), frames)]
    assert changed == ["r2"]


def test_frames_of_other_settings_or_audio_are_refused(tmp_path: Path) -> None:
    release = Release(tmp_path, 4000, 1, count=1)
    release.extract(filled("band1k"))
    for data, front_end in (
        (release.data, filled("band1k", bands=20)),
        (release.data, filled("reference")),
        (release.data.model_copy(update={"channels": "mean"}), filled("band1k")),
    ):
        with pytest.raises(CacheError, match="delete it and run snakemake"):
            open_cache(tmp_path / "frames", frames_config(data, front_end))


def test_the_front_end_needs_the_audio_of_its_data_set(tmp_path: Path) -> None:
    release = Release(tmp_path, 4000, 1, count=1)
    release.data = release.data.model_copy(update={"rate_hz": 100})
    with pytest.raises(CacheError, match="expected"):
        release.extract(filled("samples"))
    assert not list((tmp_path / "frames").glob(f"shard-{shard_of('r0', SHARDS):03d}.h5"))


def test_different_settings_have_different_folders() -> None:
    assert folder_name(filled("band1k")) == folder_name(FrontEndConfig(name="band1k")) == "band1k"
    changed = folder_name(filled("band1k", bands=20))
    assert changed.startswith("band1k-")
    assert changed == folder_name(FrontEndConfig(name="band1k", settings={"bands": 20}))
    variants = [filled("band1k", bands=21), filled("band1k", hop_s=0.01), filled("reference", bands=20)]
    assert len({changed, *map(folder_name, variants)}) == 4


@pytest.mark.parametrize(("rate", "channels"), [(4000, 1), (100, 12)])
def test_statistics_of_every_recording(tmp_path: Path, rate: int, channels: int) -> None:
    release = Release(tmp_path, rate, channels)
    describe("statistics", tmp_path / "statistics", tmp_path / "audio", release.recordings, release.data, "1", 1)
    table = read_table("statistics", tmp_path / "statistics", release.data)
    assert list(table.columns) == list(NAMES)
    assert sorted(table.index) == release.recordings["recording"].tolist()
    for recording, row in table.iterrows():
        each = [statistics(channel, rate) for channel in release.samples(recording)]
        np.testing.assert_allclose(row, np.mean(each, axis=0), rtol=1e-12)
    assert table["mean"].is_unique


def test_every_file_of_the_folder_is_found_with_its_code() -> None:
    """The code closures of the caches depend on it: after a change of a file its frames are computed again."""
    folder = Path(features.__file__).parent / "front_ends"
    files = {file for name in features.names() for file in provenance.module_files(features.module_of(name))}
    assert {file for file in files if file.parent == folder} == set(folder.glob("*.py"))


@pytest.mark.parametrize(("scale", "fits"), [(1.0, True), (1e3, True), (1e5, False), (5e6, False), (1e30, False)])
def test_frames_beyond_half_precision_name_recording_front_end_and_key(monkeypatch, scale: float, fits: bool) -> None:
    samples = scale * np.sin(np.arange(1000) / 7)[None]
    monkeypatch.setattr(frames, "audio_cache", lambda *arguments: None)
    monkeypatch.setattr(frames, "read_audio", lambda cache, name: samples)
    front_end = features.front_end("samples", {"normalise": "none"})
    compute = partial(frames._recording_frames, audio=None, audio_config=(("rate_hz", 100),), front_end=front_end)
    if fits:
        assert np.isfinite(compute(SimpleNamespace(recording="r1"))).all()
    else:
        message = r"recording .r1.: the front end samples gives values up to .*front_end\.settings"
        with pytest.raises(CacheError, match=message):
            compute(SimpleNamespace(recording="r1"))
