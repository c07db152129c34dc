"""Chroma of the constant-Q transform: equal to librosa's."""

import librosa
import numpy as np
import pytest

from auscult.features.constant_q import chroma_cens


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("rate_hz", [16000, 11025])
def test_equal_to_librosa(seed, rate_hz):
    rng = np.random.default_rng(seed)
    n, hop = int(rng.integers(2048, 40000)), int(rng.choice([64, 256, 512]))
    x = np.convolve(rng.standard_normal(n), np.hanning(int(rng.integers(3, 60))), "same")
    x += 10 * rng.random() * np.sin(2 * np.pi * rng.uniform(40, 3000) * np.arange(n) / rate_hz)
    x[int(n * rng.random()) :] *= rng.integers(0, 2)  # half of them end in silence
    expected = librosa.feature.chroma_cens(y=x, sr=rate_hz, hop_length=hop)
    np.testing.assert_allclose(chroma_cens(x, rate_hz, hop), expected, atol=1e-9)


@pytest.mark.filterwarnings("ignore")
def test_silence():
    assert chroma_cens(np.zeros(4096), 16000, 256).tolist() == np.zeros((12, 17)).tolist()


@pytest.mark.parametrize(("rate_hz", "hop"), [(44100, 512), (4000, 64), (16000, 100)])
def test_what_librosa_would_downsample_first_is_refused(rate_hz, hop):
    with pytest.raises(ValueError, match=f"{rate_hz} Hz with a hop of {hop}"):
        chroma_cens(np.zeros(4096), rate_hz, hop)
