"""Captions of Flickr8k as tokens, and the vocabulary.

The source has the captions tokenised already, punctuation apart. A caption is put in
lower case and split at white space, and tokens without a letter or a digit are
dropped: what COCO's evaluation leaves of its PTB tokens. Training and scores use the
same.
"""

import collections
import csv
import io
import tarfile

SPECIAL = START, STOP, UNKNOWN = "<start>", "<end>", "<unk>"


def tokens(caption):
    return [t for t in caption.lower().split() if any(c.isalnum() for c in t)]


def read(path):
    """The images of a flickr8k.tar by split: {"train": [(member, [caption, …]), …]}"""
    with tarfile.open(path) as tar:
        table = lambda name: csv.DictReader(io.StringIO(tar.extractfile(name).read().decode()))
        captions = collections.defaultdict(list)
        for row in table("captions.csv"):
            captions[row["image"]].append(tokens(row["caption"]))
        splits = collections.defaultdict(list)
        for row in table("split.csv"):
            splits[row["split"]].append((row["image"], captions[row["image"]]))
    return splits


def vocabulary(images, least):
    """The special tokens, then every word that occurs at least so often in the
    captions of these images, the most frequent first."""
    count = collections.Counter(t for _, captions in images for c in captions for t in c)
    words = sorted((w for w, n in count.items() if n >= least), key=lambda w: (-count[w], w))
    return [*SPECIAL, *words]
