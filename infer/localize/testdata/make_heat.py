"""Golden file of heat_test.go: a 7 x 5 map enlarged to 28 x 20 by others.

Usage: python make_heat.py, in this folder. Writes heat.f32 (little-endian
float32): the map; enlarged with half-pixel centres (Pillow's bilinear); enlarged
with aligned corners (scipy.ndimage.zoom of order 1).
"""
import numpy as np
from PIL import Image
from scipy import ndimage

m = np.random.default_rng(3).uniform(0, 1, (5, 7)).astype(np.float32)
half = np.asarray(Image.fromarray(m).resize((28, 20), Image.Resampling.BILINEAR))
corners = ndimage.zoom(m.astype(np.float64), 4, order=1, mode="nearest", grid_mode=False)
assert half.shape == corners.shape == (20, 28)
np.concatenate([m.ravel(), half.ravel(), corners.ravel()]).astype("<f4").tofile("heat.f32")
