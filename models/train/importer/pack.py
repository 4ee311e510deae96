"""Writes pack.yaml, the card and the label files of an imported model."""

import hashlib
import json
import pathlib
import re


def sha256(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        for block in iter(lambda: f.read(1 << 20), b""):
            h.update(block)
    return h.hexdigest()


class Pack:
    """A pack in the making, in a folder that is there and empty."""

    def __init__(self, folder, name, license, version="1", fixture=False):
        self.folder = pathlib.Path(folder)
        self.name, self.license, self.version, self.fixture = name, license, version, fixture
        if fixture:
            self.name, self.license = "fixture-" + name, "Apache-2.0 (random weights, their output means nothing)"
        self.worst = 0.0

    def path(self, name):
        return self.folder / name

    def text(self, name, lines):
        self.path(name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        return self.file(name)

    def file(self, name):
        return {"path": name, "sha256": sha256(self.path(name))}

    def metadata(self, **more):
        """metadata_props of a graph."""
        m = {"model": self.name, "version": self.version, "license": self.license, **more}
        return {**m, "fixture": "true"} if self.fixture else m

    def write(self, family, card, **model):
        """Writes card and manifest. Graphs and labels are names of files."""
        if self.fixture:
            card = f"# {self.name}\n\nRandom weights, imported as if they were published ones, for tests. What they say means\nnothing.\n"
        self.path("CARD.md").write_text(card.strip() + "\n", encoding="utf-8")
        for kind in ("graphs", "labels"):
            if kind in model:
                model[kind] = {k: self.file(v) for k, v in model[kind].items()}
        head = {"seehear": 1, "name": self.name, "version": self.version, "license": self.license}
        if self.fixture:
            head["fixture"] = True
        entry = {"name": self.name, "family": family, "version": self.version, "license": self.license, "card": "CARD.md", **model}
        text = "# Written by seehear models import.\n" + _yaml(head) + "models:\n" + re.sub("^    ", "  - ", _yaml(entry, 4), count=1)
        self.path("pack.yaml").write_text(text, encoding="utf-8")


def _yaml(d, indent=0):
    """A mapping in block style down to mappings of scalars, which are in flow style."""
    out = []
    for k, v in d.items():
        if isinstance(v, dict) and any(isinstance(x, dict) for x in v.values()):
            out.append(" " * indent + f"{k}:\n" + _yaml(v, indent + 2))
        else:
            out.append(" " * indent + f"{k}: {_flow(v)}\n")
    return "".join(out)


def _flow(v):
    if isinstance(v, dict):
        return "{" + ", ".join(f"{k}: {_flow(x)}" for k, x in v.items()) + "}"
    if isinstance(v, (list, tuple)):
        return "[" + ", ".join(map(_flow, v)) + "]"
    return json.dumps(v)
