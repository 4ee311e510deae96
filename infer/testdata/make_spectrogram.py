"""Golden files of stft_test.go: what SciPy makes of some sounds.

Usage: python make_spectrogram.py, in this folder. For each sound NAME it writes
spectrogram_NAME.s16 (little-endian int16; sample = value/32768) and
spectrogram_NAME.f32 (little-endian float32): the power-law STFT [2, frames, 257]
at 16 kHz, then the log spectrogram [257, frames] at 22,050 Hz, then that of the default
pack's localizer [513, frames] at 22,050 Hz. Written with SciPy
1.17.1 and NumPy 2.4.6; everything is computed in float64.
"""
import numpy as np
import scipy.signal

N = 1400
t = np.arange(N) / 16000
rng = np.random.default_rng(3)


def speech_like():
    """A 120 Hz pulse train through three formants, with a pause in the middle."""
    x = np.zeros(N)
    x[::133] = 1
    for f, bw in ((700, 110), (1220, 120), (2600, 160)):
        r = np.exp(-np.pi * bw / 16000)
        x = scipy.signal.lfilter([1 - r], [1, -2 * r * np.cos(2 * np.pi * f / 16000), r * r], x)
    x[600:900] = 0
    return 0.7 * x / abs(x).max()


sounds = {
    "chirp": 0.8 * scipy.signal.chirp(t, 50, t[-1], 7900),
    "noise": 0.2 * rng.standard_normal(N),
    "speech": speech_like(),
    "silence": np.where(np.arange(N) == N // 2, 0.5, 0.0),  # but for one click
}

for name, x in sounds.items():
    q = np.clip(np.round(x * 32768), -32768, 32767).astype("<i2")
    q.tofile(f"spectrogram_{name}.s16")
    x = q.astype(np.float64) / 32768

    # SciPy's stft divides by the sum of the window; the contract does not.
    _, _, z = scipy.signal.stft(x, 16000, "hann", 400, 240, 512, detrend=False, boundary=None, padded=False)
    z = z.T * scipy.signal.get_window("hann", 400).sum()
    s = np.stack([z.real, z.imag])
    s = np.sign(s) * np.abs(s) ** 0.3

    _, _, p = scipy.signal.spectrogram(x, 22050, nperseg=512, noverlap=274)
    p = np.log(p + 1e-7) / 12
    _, _, own = scipy.signal.spectrogram(x, 22050, "hann", 1024, 512)
    own = np.log(own + 1e-14)
    assert s.shape == (2, 1 + (N - 400) // 160, 257) and p.shape == (257, (N - 274) // 238) and own.shape == (513, 1)
    np.concatenate([s.ravel(), p.ravel(), own.ravel()]).astype("<f4").tofile(f"spectrogram_{name}.f32")
