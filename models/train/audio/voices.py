"""Speech with its labels, the sounds it is mixed with, and how they are mixed.

Note [Labels]

A chunk of 512 samples at 16 kHz is speech if the energy of the clean recording says so:
the chunk's RMS is at most 25 dB below the recording's loud part (the 95th percentile of
its chunks' RMS) and above -60 dBFS. Gaps of up to three chunks (96 ms: stops, the rest
of a syllable) count as speech, since a person hears none there.
"""

import subprocess

import numpy as np
from scipy import fft

from audio import clips
from audio.gate import CHUNK, RATE

SECONDS = 4.0


def rms(pcm):
    """RMS of each chunk."""
    n = len(pcm) // CHUNK
    return np.sqrt((pcm[: n * CHUNK].reshape(n, CHUNK).astype(np.float64) ** 2).mean(1))


def labels(pcm):
    """Which chunks of a clean recording are speech: see Note [Labels]."""
    r = rms(pcm)
    if len(r) == 0:
        return np.zeros(0, bool)
    on = (r > np.percentile(r, 95) * 10 ** (-25 / 20)) & (r > 10 ** (-60 / 20))
    at = np.flatnonzero(on)
    for a, b in zip(at, at[1:]):
        if b - a <= 4:
            on[a:b] = True
    return on


def fitted(pcm, n, rng):
    """n samples of a clip: a place in it, or silence round it."""
    if len(pcm) >= n:
        a = rng.integers(len(pcm) - n + 1)
        return pcm[a : a + n]
    out = np.zeros(n, np.float32)
    a = rng.integers(n - len(pcm) + 1)
    out[a : a + len(pcm)] = pcm
    return out


def looped(pcm, n, rng):
    """n samples of a sound that goes on, repeated where it is short."""
    a = rng.integers(len(pcm))
    return np.resize(np.roll(pcm, -a), n)


def power(pcm):
    return float((pcm.astype(np.float64) ** 2).mean()) + 1e-12


def mixed(speech, on, sound, snr):
    """Speech with a sound so many decibels below it. The level of speech is that of
    the chunks in which there is any."""
    n = len(on) * CHUNK
    spoken = power(speech[:n].reshape(-1, CHUNK)[on]) if on.any() else power(speech)
    return speech + sound * np.float32(np.sqrt(spoken / power(sound) / 10 ** (snr / 10)))


# Two sentences and ten digits are not all that people say. eSpeak NG reads these to the
# network in many voices; nothing of them is held out.
SENTENCES = (
    "The quick brown fox jumps over the lazy dog, again and again.",
    "We met at the station at half past seven and waited for the bus.",
    "She sells fresh oranges, cheese and fish by the harbour every Thursday.",
    "Could you please tell me which way the old bridge is?",
    "Nobody thought that the weather would change so soon.",
    "Five huge ships were anchored just outside of the bay.",
    "I would rather have a cup of coffee, thank you very much.",
    "Yesterday the children went to the zoo with their uncle Joe.",
)
VARIANTS = ("", "+m1", "+m3", "+m5", "+m7", "+f1", "+f2", "+f3", "+f4", "+f5")
TONGUES = ("en-us", "en-gb", "de", "fr", "es", "it", "pl", "tr", "nl", "pt")


def synthesized():
    """Yields (Clip, samples) of sentences that eSpeak NG reads."""
    for n in range(240):
        voice = TONGUES[n // len(SENTENCES) % len(TONGUES)] + VARIANTS[7 * n // 3 % len(VARIANTS)]
        said = subprocess.run(
            ["espeak-ng", "--stdout", "-v", voice, "-s", str(120 + 37 * n % 90), "-p", str(20 + 29 * n % 60), SENTENCES[n % len(SENTENCES)]],
            check=True, capture_output=True).stdout
        yield clips.Clip(f"espeak/{n}", "espeak", "speech", 0, "espeak"), clips.decode(said, RATE)


class Voices:
    """The recordings: speech and sounds, each with its Clip, at 16 kHz."""

    def __init__(self, data):
        self.speech = [(c, p) for c, p in clips.actors(data, RATE)]
        self.speech += list(clips.digits(data, RATE, SECONDS, 100))
        self.speech += list(synthesized())
        # Clips in which people talk are no example of their absence.
        self.sounds = [(c, clips.resample(p, clips.RATE, RATE)) for c, p in clips.sounds(data)
                       if c.label not in ("children playing", "street music")]


# Who is kept from training: five actors of 24, two speakers of six.
TEST_ACTORS = (20, 21, 22, 23, 24)
TEST_SPEAKERS = (5, 6)
ESC, URBAN = 5, 10  # folds whose sounds are kept, as those of the sound network


def parts(voices):
    """Speech and sounds to train with, and the same held out, each (Clip, samples)."""
    test = lambda c: c.fold in {"ravdess": TEST_ACTORS, "fsdd": TEST_SPEAKERS, "espeak": ()}[c.set]
    train, held = clips.split([c for c, _ in voices.sounds], ESC, URBAN)
    return (([s for s in voices.speech if not test(s[0])], [voices.sounds[i] for i in train]),
            ([s for s in voices.speech if test(s[0])], [voices.sounds[i] for i in held]))


# Note [Mixtures]
#
# What the gate is judged on follows from rules, so that another program can make it too.
# Recordings: RAVDESS of TEST_ACTORS in the order of labels.csv, then 40 of each of
# TEST_SPEAKERS: number j strings together the words (61 * (8 j + i)) mod 500, i = 0 … 7, of
# the speaker's files in the order of their names, each after a quarter of a second of
# nothing. Sounds: those held out, in the order of their paths. Recording n (from 0) is
# mixed five times, r = 0 … 4, at 5 r decibels with sound (37 * (5 n + r)) mod the number of
# sounds, repeated from its start to the length of 124 chunks; the recording is cut or filled
# up with nothing to that length. Decibels are of the power over the chunks of speech to
# that of the sound. What exceeds 1 is scaled down to it.

TEST_CHUNKS = 124


def strung(spoken, j):
    """Recording j of a speaker's words: see Note [Mixtures]."""
    pause = np.zeros(RATE // 4, np.float32)
    return np.concatenate([x for i in range(8) for x in (pause, spoken[61 * (8 * j + i) % len(spoken)])])


def filled(pcm, n):
    return np.pad(pcm[:n], (0, max(0, n - len(pcm))))


def mixtures(data, speech, sounds):
    """Yields (samples, labels, set, decibels): see Note [Mixtures]."""
    spoken = [(c.set, p) for c, p in speech if c.set == "ravdess"]
    digits = clips.words(data, RATE)
    spoken += [("fsdd", strung(digits[s - 1][1], j)) for s in TEST_SPEAKERS for j in range(40)]
    sounds = sorted(sounds, key=lambda s: s[0].path)
    size = TEST_CHUNKS * CHUNK
    for n, (corpus, pcm) in enumerate(spoken):
        clean = filled(pcm, size)
        on = labels(clean)
        for r in range(5):
            _, sound = sounds[37 * (5 * n + r) % len(sounds)]
            out = mixed(clean, on, np.resize(sound, size), 5 * r)
            yield (out / max(1, np.abs(out).max())).astype(np.float32), on, corpus, 5 * r


def coloured(pcm, rng):
    """As another microphone, line or room gives it."""
    n = len(pcm)
    size = fft.next_fast_len(n + RATE // 2, real=True)
    spectrum = fft.rfft(pcm.astype(np.float32), size)
    f = np.linspace(0, 1, len(spectrum), dtype=np.float32)
    curve = np.interp(f, np.linspace(0, 1, 8) ** 1.5, rng.normal(0, 5, 8))
    if rng.random() < 0.3:
        curve -= np.clip((f - rng.uniform(0.3, 1)) * 400, 0, 60)
    if rng.random() < 0.25:
        curve -= np.clip((rng.uniform(0, 0.06) - f) * 1500, 0, 60)
    spectrum *= (10 ** (curve / 20)).astype(np.float32)
    if rng.random() < 0.3:  # a room: a tail of noise that dies away
        t = np.arange(RATE // 2, dtype=np.float32) / RATE
        tail = rng.standard_normal(RATE // 2, np.float32) * np.exp(t * np.float32(-6.9 / rng.uniform(0.1, 0.5)))
        tail *= np.float32(rng.uniform(0.1, 0.6)) / np.sqrt((tail**2).sum())
        tail[0] += 1
        spectrum *= fft.rfft(tail, size)
    return fft.irfft(spectrum, size)[:n]


def synthetic(n, rng):
    """Noise, hum and tones: nothing that anybody says."""
    t = np.arange(n) / RATE
    f = np.maximum(1, np.fft.rfftfreq(n) * n)
    noise = np.fft.irfft(np.fft.rfft(rng.normal(0, 1, n)) * f ** rng.uniform(-1, 0.2), n)
    noise /= np.abs(noise).max()
    if rng.random() < 0.5:
        return noise.astype(np.float32)
    base, tones = rng.uniform(50, 2000), 0
    for k in range(1, rng.integers(2, 6)):
        tones = tones + np.sin(2 * np.pi * base * k * (t + rng.uniform(-0.05, 0.05) * t**2)) * rng.random() / k
    beep = (t * rng.uniform(0.5, 6)) % 1 < rng.uniform(0.2, 1.2)
    return (tones * beep + noise * rng.uniform(0.001, 0.2)).astype(np.float32)


def sequence(speech, sounds, rng, seconds=SECONDS):
    """A training sequence and the labels of its chunks."""
    n = int(seconds * RATE) // CHUNK * CHUNK
    sound = synthetic(n, rng) if rng.random() < 0.15 else looped(sounds[rng.integers(len(sounds))][1], n, rng)
    if rng.random() < 0.3:
        other = looped(sounds[rng.integers(len(sounds))][1], n, rng)
        sound = sound + other * np.sqrt(power(sound) / power(other) * rng.uniform(0.05, 1)).astype(np.float32)
    if rng.random() < 0.6:
        sound = coloured(sound, rng)
    on = np.zeros(n // CHUNK, bool)
    if rng.random() < 0.62:
        clean = np.zeros(n, np.float32)
        for _ in range(rng.integers(1, 3)):
            pcm = speech[rng.integers(len(speech))][1]
            if rng.random() < 0.6:  # faster and higher, or slower and lower
                pcm = np.interp(np.arange(0, len(pcm) - 1, rng.uniform(0.82, 1.22)), np.arange(len(pcm)), pcm).astype(np.float32)
            pcm = fitted(pcm, n, rng)
            # Once there is speech in a place nobody talks over it.
            mine = labels(pcm)
            if on.any():
                pcm = pcm * (np.arange(n) >= (np.flatnonzero(on)[-1] + 1) * CHUNK)
                mine = labels(pcm)
            on, clean = on | mine, clean + pcm
        if rng.random() < 0.6:
            clean = coloured(clean, rng)
        out = mixed(clean, on, sound, rng.uniform(-5, 30)) if rng.random() < 0.9 else clean
    else:
        out = sound
    level = 10 ** (rng.uniform(-45, -12) / 20) / np.sqrt(power(out))
    return np.clip(out * np.float32(level), -1, 1), on
