"""How far a training run has come, kept in its folder, so that a stopped one goes on.

The recipes for pictures make one Run each, hand it what has states (networks, the
optimizer, the schedule), which stays theirs, and call keep() after every stretch.
"""

import json

import torch


class Run:
    """folder holds checkpoint.pt with the states and how far they are (`done`, numbers by
    name), log.jsonl, the curve, and perhaps `threads`, the number of CPU threads."""

    def __init__(self, folder, device, **parts):
        self.folder, self.parts, self.done = folder, parts, {}
        self.checkpoint = folder / "checkpoint.pt"
        if self.checkpoint.exists():
            saved = torch.load(self.checkpoint, map_location=device, weights_only=True)
            self.done = saved["done"]
            for name, part in parts.items():
                part.load_state_dict(saved["states"][name])

    def keep(self, line, **done):
        """Adds a line to the curve and writes the checkpoint."""
        with open(self.folder / "log.jsonl", "a") as f:
            print(json.dumps(done | line), file=f)
        half = self.checkpoint.with_suffix(".part")
        torch.save({"done": done, "states": {name: part.state_dict() for name, part in self.parts.items()}}, half)
        half.replace(self.checkpoint)

    def take_threads(self):
        """Uses as many threads as the file says, which may change meanwhile."""
        if (self.folder / "threads").exists():
            torch.set_num_threads(int((self.folder / "threads").read_text()))
