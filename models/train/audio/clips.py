"""The clips of the sound sets, each with its class and the recording it was cut from.

DATA is a folder with `sounds.tar` (ESC-10, part of UrbanSound8K, instruments) and
`voices.tar` (RAVDESS speech); `UrbanSound8K/audio/fold*/*.wav`, where it lies there,
takes the place of the tar's part of that set, and `fsdd/recordings/*.wav` (Free Spoken
Digit Dataset) adds speech.
"""

import csv
import io
import re
import tarfile
from dataclasses import dataclass
from math import gcd
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

RATE = 22050

# What a person reads, by the name a set has for it. dog_bark is in two sets.
NAMES = {
    "air_conditioner": "air conditioner",
    "baby_cry": "baby crying",
    "bass_drum": "bass drum",
    "car_horn": "car horn",
    "chainsaw": "chainsaw",
    "children_playing": "children playing",
    "clock_tick": "clock ticking",
    "dog_bark": "dog barking",
    "double_bass": "double bass",
    "drilling": "drilling",
    "engine_idling": "engine idling",
    "fire_crackling": "fire crackling",
    "acoustic_guitar": "acoustic guitar",
    "gun_shot": "gun shot",
    "helicopter": "helicopter",
    "hi_hat": "hi-hat",
    "jackhammer": "jackhammer",
    "person_sneeze": "sneezing",
    "rain": "rain",
    "rooster": "rooster crowing",
    "sea_waves": "sea waves",
    "siren": "siren",
    "snare_drum": "snare drum",
    "speech": "speech",
    "street_music": "street music",
    "violin_or_fiddle": "violin",
    "cello": "cello",
    "clarinet": "clarinet",
    "flute": "flute",
    "saxophone": "saxophone",
}
LABELS = sorted(NAMES.values())
INDEX = {label: i for i, label in enumerate(LABELS)}

URBAN = ("air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling",
         "engine_idling", "gun_shot", "jackhammer", "siren", "street_music")
ESC = ("baby_cry", "chainsaw", "clock_tick", "dog_bark", "fire_crackling",
       "helicopter", "person_sneeze", "rain", "rooster", "sea_waves")


@dataclass(frozen=True)
class Clip:
    path: str  # in its set, below DATA or in its tar
    set: str  # esc10, urbansound8k, instruments, ravdess, fsdd
    label: str  # of LABELS
    fold: int  # the set's own; 0 where it has none
    source: str  # the recording: no two sides of a split share one


def resample(pcm, rate, wanted):
    if rate == wanted:
        return pcm.astype(np.float32)
    d = gcd(rate, wanted)
    return resample_poly(pcm, wanted // d, rate // d).astype(np.float32)


def decode(data, rate=RATE):
    """Mono samples in [-1, 1] of a file or of its bytes."""
    pcm, had = soundfile.read(io.BytesIO(data) if isinstance(data, bytes) else data, dtype="float32", always_2d=True)
    return resample(pcm.mean(1), had, rate)


def unrepeat(pcm):
    """The clip without its exact repeats: UrbanSound8K as published here was filled
    up to four seconds by repeating what is shorter, and the period is a false cue."""
    n = len(pcm)
    probe = pcm[:256]
    if n < 1024 or not probe.any():
        return pcm
    starts = np.flatnonzero(pcm[512 : n - 256] == probe[0]) + 512
    for p in starts:
        if np.array_equal(pcm[p : p + 256], probe) and np.array_equal(pcm[p:], pcm[: n - p]):
            return pcm[:p]
    return pcm


def tarred(path):
    """Yields (row, bytes) for each row of the tar's labels.csv."""
    with tarfile.open(path) as tar:
        rows = list(csv.DictReader(io.TextIOWrapper(tar.extractfile("labels.csv"), "utf-8")))
        for row in rows:
            yield row, tar.extractfile(row["path"]).read()


def sounds(data):
    """Yields (Clip, samples at 22,050 Hz) of everything that is not speech."""
    data = Path(data)
    full = sorted((data / "UrbanSound8K" / "audio").glob("fold*/*.wav"))
    for row, blob in tarred(data / "sounds.tar"):
        if row["set"] == "urbansound8k" and full:
            continue
        # ESC-10 and UrbanSound8K name recordings of Freesound, and share some.
        source = row["source_id"] if row["set"] != "instruments" else "instruments/" + row["source_id"]
        yield Clip(row["path"], row["set"], NAMES[row["class"]], int(row["fold"] or 0), source), decode(blob)
    for path in full:
        source, kind, _, _ = path.stem.split("-")
        fold = int(re.sub("[^0-9]", "", path.parent.name))
        clip = Clip(str(path.relative_to(data)), "urbansound8k", NAMES[URBAN[int(kind)]], fold, source)
        yield clip, decode(path)


def actors(data, rate=RATE):
    """Yields (Clip, samples) of RAVDESS; its fold is the actor, 1 to 24."""
    for row, blob in tarred(Path(data) / "voices.tar"):
        yield Clip(row["path"], "ravdess", "speech", int(row["actor"]), "ravdess/" + row["actor"]), decode(blob, rate)


def words(data, rate=RATE):
    """The spoken digits of each speaker, in the order of their names: one list each."""
    by = {}
    for path in (Path(data) / "fsdd" / "recordings").glob("*.wav"):
        by.setdefault(path.stem.split("_")[1], []).append(path)
    return [(who, [decode(p, rate) for p in sorted(by[who])]) for who in sorted(by)]


def digits(data, rate=RATE, seconds=4.0, each=40, seed=1):
    """Yields (Clip, samples) of spoken digits, drawn and strung together with pauses
    to the given length, `each` for a speaker; fold is the speaker's number from 1."""
    for fold, (who, spoken) in enumerate(words(data, rate), 1):
        rng = np.random.default_rng([seed, fold])
        for n in range(each):
            parts, total = [], 0
            while total < seconds * rate:
                word = spoken[rng.integers(len(spoken))]
                pause = np.zeros(int(rng.uniform(0.05, 0.5) * rate), np.float32)
                parts += [pause, word]
                total += len(pause) + len(word)
            pcm = np.concatenate(parts)[: int(seconds * rate)]
            yield Clip(f"fsdd/{who}/{n}", "fsdd", "speech", fold, "fsdd/" + who), pcm


def held_out(clip, esc, urban):
    """Whether a clip is of one of the folds that are kept from training."""
    if clip.set == "esc10":
        return clip.fold == esc
    if clip.set == "urbansound8k":
        return clip.fold == urban
    if clip.set == "ravdess":  # five groups of actors
        return esc > 0 and clip.fold % 5 == esc % 5
    if clip.set == "fsdd":
        return esc > 0 and clip.fold == esc
    # Instruments have no recordings to split by: a fifth of the files.
    return esc > 0 and sum(clip.path.encode()) % 5 == esc % 5


def split(clips, esc, urban):
    """Indices of the clips to train with and of those held out: fold esc of ESC-10
    and fold urban of UrbanSound8K, and of the other sets as held_out says. Whatever
    shares a recording with a held-out clip, in any set, is not trained with."""
    out = [i for i, c in enumerate(clips) if held_out(c, esc, urban)]
    sources = {clips[i].source for i in out}
    return [i for i, c in enumerate(clips) if c.source not in sources], out
