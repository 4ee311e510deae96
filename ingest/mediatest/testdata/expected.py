#!/usr/bin/env python3
"""Writes down what seehear must find in the real clips of ../shared/media.

    expected.py MEDIA_DIR [FFPROBE...] > ingest/mediatest/expected.json

Everything comes from ffprobe; with several ffprobe binaries (say 7.1 and 5.1)
their answers must be the same, otherwise the differences go to stderr and the
first one's are kept. For each file:

    exit        of `seehear annotate FILE`: 0, or 3 where no frame and no sample
                can be had (a single input that fails is all inputs failing)
    video, audio  the stream chosen, null if there is none:
        stream    index in the container
        start_ns  first presented stamp on the source's clock, whose zero is the
                  earliest first presented stamp over all audio and video streams,
                  as the container has it (a first packet that decodes to nothing
                  counts: two clips have such AAC)
        frames / samples   what is presented, priming excluded
        w, h, rotation     upright size, degrees clockwise
        missing_ns         sound missing between the first and the last sample

Choice of stream: the one that is default before one that is not, then the
higher bit rate, as av_find_best_stream does for streams that all hold frames.
"""
import json, os, subprocess, sys
from fractions import Fraction

# A stamp in a container of milliseconds or of 90 kHz may be rounded, which is no
# hole: FFmpeg's own decoders of these files give jitter below this.
JITTER = Fraction(2, 1000)


def probe(ffprobe, path):
    out = subprocess.run(
        [ffprobe, "-v", "quiet", "-show_streams", "-show_frames", "-of", "json", path],
        capture_output=True, stdin=subprocess.DEVNULL).stdout
    return json.loads(out or "{}")


def rounded(seconds):
    """Nanoseconds, rounded to the nearest."""
    ns = seconds * 10**9
    return int(ns + Fraction(1, 2)) if ns >= 0 else -int(-ns + Fraction(1, 2))


def expect(ffprobe, path):
    found = probe(ffprobe, path)
    streams = {}
    for s in found.get("streams", []):
        if s["codec_type"] in ("video", "audio"):
            s["frames"] = []
            s["tb"] = Fraction(s["time_base"])
            streams[s["index"]] = s
    for f in found.get("frames", []):
        # A picture without a stamp of its own follows the one before.
        if f.get("stream_index") in streams:
            streams[f["stream_index"]]["frames"].append(f)

    def stamps(s):
        out, last, step = [], None, Fraction(0)
        for f in s["frames"]:
            t = f.get("best_effort_timestamp", f.get("pts"))
            if t is None:
                t = last + step
            else:
                t = t * s["tb"]
            if s["codec_type"] == "audio":
                step = Fraction(f["nb_samples"], int(s["sample_rate"]))
            elif last is not None:
                step = t - last
            out.append(t)
            last = t
        return out

    firsts = [s["start_pts"] * s["tb"] if "start_pts" in s else stamps(s)[0]
              for s in streams.values() if s["frames"]]
    zero = min(firsts) if firsts else Fraction(0)

    def best(kind):
        of_kind = [s for s in streams.values() if s["codec_type"] == kind and s["frames"]]
        return max(of_kind, default=None,
                   key=lambda s: (s["disposition"]["default"], int(s.get("bit_rate", 0)), -s["index"]))

    out = {"file": os.path.basename(path), "exit": 0 if firsts else 3, "video": None, "audio": None}
    v, a = best("video"), best("audio")
    if v:
        rotation = 0
        for side in v.get("side_data_list", []):
            rotation = -int(side.get("rotation", -rotation)) % 360
        w, h = v["width"], v["height"]
        if rotation % 180:
            w, h = h, w
        out["video"] = {"stream": v["index"], "codec": v["codec_name"], "start_ns": rounded(stamps(v)[0] - zero),
                        "frames": len(v["frames"]), "w": w, "h": h, "rotation": rotation}
    if a:
        at, missing, rate = stamps(a), Fraction(0), int(a["sample_rate"])
        for t, after, f in zip(at, at[1:], a["frames"]):
            hole = after - t - Fraction(f["nb_samples"], rate)
            if hole > JITTER:
                missing += hole
        out["audio"] = {"stream": a["index"], "codec": a["codec_name"], "start_ns": rounded(at[0] - zero),
                        "rate": rate, "channels": a["channels"],
                        "samples": sum(f["nb_samples"] for f in a["frames"]), "missing_ns": rounded(missing)}
    return out


def main():
    media, probes = sys.argv[1], sys.argv[2:] or ["ffprobe"]
    result = []
    for name in sorted(os.listdir(media)):
        if name.endswith(".md"):
            continue
        answers = [expect(p, os.path.join(media, name)) for p in probes]
        for p, other in zip(probes[1:], answers[1:]):
            if other != answers[0]:
                print(f"{name}:\n  {probes[0]}: {answers[0]}\n  {p}: {other}", file=sys.stderr)
        result.append(answers[0])
    print("[\n" + ",\n".join(" " + json.dumps(r) for r in result) + "\n]")


main()
