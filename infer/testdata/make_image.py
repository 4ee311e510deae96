"""Golden file of image_test.go: what NumPy makes of a picture.

Usage: python make_image.py, in this folder. Writes image.rgb (RGB24, 13 x 7) and
image.f32 (little-endian float32: rgb with ImageNet mean and std, then bgr with
mean and std 0.5, both NCHW).
"""
import numpy as np

rng = np.random.default_rng(7)
rgb = rng.integers(0, 256, (7, 13, 3), dtype=np.uint8)
rgb[0, 0], rgb[6, 12] = (0, 128, 255), (255, 0, 1)
rgb.tofile("image.rgb")
x = rgb.astype(np.float64) / 255
mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
a = ((x - mean) / std).transpose(2, 0, 1)
b = ((x - 0.5) / 0.5)[:, :, ::-1].transpose(2, 0, 1)
np.concatenate([a.ravel(), b.ravel()]).astype("<f4").tofile("image.f32")
