#!/usr/bin/env python3
"""Composes docs/demo/demo.mp4, the clip that `make run` annotates.

Pictures with their recorded sounds come from Debian's tuxpaint-stamps-default
(GPL-2+), the narrator's voice from espeak-ng. In every scene two things are
seen and one of them sounds; the one that sounds moves while it does. Needs
Pillow, NumPy, ffmpeg and espeak-ng; run it from anywhere:

    python3 docs/demo/make.py
"""
import math
import os
import subprocess
import tempfile
import wave

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

STAMPS = "/usr/share/tuxpaint/stamps"
HERE = os.path.dirname(os.path.abspath(__file__))
W, H, FPS, RATE = 640, 360, 25, 44100

# Scene: seconds, sky, ground, things. A thing: stamp, centre x and foot y as
# shares of the picture, height as a share, times at which it sounds (its own
# recording), or a sentence that it says.
SCENES = [
    (4.0, (150, 200, 240), (96, 150, 70), [
        ("animals/mammals/dogs/dog", 0.27, 0.92, 0.62, [0.5, 1.7, 2.6], None),
        ("town/uk_post_box", 0.74, 0.90, 0.40, [], None)]),
    (4.0, (248, 205, 150), (140, 110, 60), [
        ("hobbies/music/percussion/drum_tomtom_floor", 0.25, 0.92, 0.55, [], None),
        ("animals/birds/rooster", 0.72, 0.92, 0.60, [0.6, 2.2], None)]),
    (4.5, (70, 40, 40), (110, 70, 45), [
        ("hobbies/music/string/cello", 0.30, 0.95, 0.85, [0.3], None),
        ("household/kettle", 0.74, 0.90, 0.42, [], None)]),
    (5.5, (205, 215, 225), (120, 125, 135), [
        ("people/fireman240a", 0.66, 0.97, 0.85, [], "Good evening. There was a fire in the harbour last night, and everybody is safe."),
        ("animals/mammals/cats/lion", 0.22, 0.92, 0.42, [], None)]),
    (4.5, (40, 46, 70), (24, 34, 30), [
        ("naturalforces/lightningbolt", 0.34, 0.80, 0.75, [0.3], None),
        ("plants/lavender", 0.78, 0.95, 0.45, [], None)]),
]


def stamp(name, height):
    path = os.path.join(STAMPS, name + ".png")
    picture = Image.open(path).convert("RGBA")
    picture = picture.crop(picture.getbbox())
    h = int(H * height)
    return picture.resize((max(1, picture.width * h // picture.height), h), Image.LANCZOS)


def backdrop(sky, ground):
    """A horizon with a soft light, so that the picture is not flat."""
    y = np.linspace(0, 1, H)[:, None, None]
    x = np.linspace(-1, 1, W)[None, :, None]
    sky, ground = np.array(sky, float), np.array(ground, float)
    picture = np.where(y < 0.62, sky * (1.08 - 0.35 * y), ground * (0.75 + 0.5 * y))
    picture = picture * (1.05 - 0.22 * x * x) + np.random.default_rng(1).normal(0, 1.5, (H, W, 1))
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.6))


def pcm(path):
    out = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-ac", "1", "-ar", str(RATE), "-f", "f32le", "-"],
                         check=True, stdout=subprocess.PIPE).stdout
    samples = np.frombuffer(out, np.float32)
    return samples * (0.7 / max(1e-6, np.abs(samples).max()))


def speech(sentence, folder):
    path = os.path.join(folder, "speech.wav")
    subprocess.run(["espeak-ng", "-v", "en-gb", "-s", "150", "-p", "38", "-w", path, sentence], check=True)
    return pcm(path)


def main():
    total = sum(scene[0] for scene in SCENES)
    sound = np.random.default_rng(2).normal(0, 0.0006, int(total * RATE)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        rendered, start = [], 0.0
        for seconds, sky, ground, things in SCENES:
            layers = []
            for name, x, y, height, times, sentence in things:
                voice = np.zeros(int(seconds * RATE), np.float32)
                if sentence:
                    times, samples = [0.3], speech(sentence, folder)
                elif times:
                    samples = pcm(os.path.join(STAMPS, name + ".ogg"))
                for t in times:
                    at = int(t * RATE)
                    part = samples[: len(voice) - at].copy()
                    fade = min(len(part), RATE // 20)
                    part[-fade:] *= np.linspace(1, 0, fade)
                    voice[at : at + len(part)] += part
                at = int(start * RATE)
                sound[at : at + len(voice)] += voice
                layers.append((stamp(name, height), x, y, voice))
            rendered.append((seconds, backdrop(sky, ground), layers))
            start += seconds
        audio = os.path.join(folder, "sound.wav")
        with wave.open(audio, "wb") as w:
            w.setnchannels(1), w.setsampwidth(2), w.setframerate(RATE)
            w.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
        encode = subprocess.Popen(
            ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{W}x{H}", "-r", str(FPS), "-i", "-",
             "-i", audio, "-vf", "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p", "-colorspace", "bt709",
             "-color_primaries", "bt709", "-color_trc", "bt709", "-c:v", "libx264", "-preset", "veryslow", "-crf", "24",
             "-c:a", "aac", "-b:a", "96k", "-shortest", "-movflags", "+faststart", "-bitexact", "-threads", "1",
             os.path.join(HERE, "demo.mp4")], stdin=subprocess.PIPE)
        for seconds, back, layers in rendered:
            for i in range(round(seconds * FPS)):
                frame = back.copy()
                draw = ImageDraw.Draw(frame, "RGBA")
                for picture, x, y, voice in layers:
                    at = int(i / FPS * RATE)
                    level = float(np.sqrt(np.mean(voice[at : at + RATE // FPS] ** 2)))
                    swing = min(1.0, level / 0.12)
                    grow = 1 + 0.05 * swing * math.sin(i * 1.9)
                    thing = picture.resize((int(picture.width * (2 - grow)), int(picture.height * grow)), Image.BICUBIC)
                    left, top = int(W * x - thing.width / 2), int(H * y - thing.height)
                    draw.ellipse((left, H * y - 10, left + thing.width, H * y + 8), fill=(0, 0, 0, 60))
                    frame.paste(thing, (left, top), thing)
                encode.stdin.write(frame.tobytes())
        encode.stdin.close()
        if encode.wait() != 0:
            raise SystemExit("ffmpeg failed")


if __name__ == "__main__":
    main()
