// From a decoded picture to an upright RGB24 image of another size, in one step.
// Note [Own scaler] in scale.go says why this is not libswscale.
#ifndef SEEHEAR_DECODE_SCALE_H
#define SEEHEAR_DECODE_SCALE_H

#include <libavutil/frame.h>
#include <stdint.h>

typedef struct SHScaleParams {
    int src_w, src_h, format;   // of the frames to come
    int full_w, full_h;         // size of the whole resized picture, as stored
    int x, y, w, h;             // the part of it that is wanted
    int filter;                 // 0 bilinear, 1 bicubic (a = -0.5), 2 Lanczos (3 lobes)
    int swap, flip_x, flip_y;   // how the stored picture lies in the upright one
    int full_range;             // of luma and chroma
    int chroma_x2, chroma_y2;   // first chroma sample, in half luma samples from the first luma sample
    double r_v, g_u, g_v, b_u;  // chroma to RGB, for unit luma and chroma in [-0.5, 0.5]
    double r_u, b_v;            // zero but for YCgCo
} SHScaleParams;

typedef struct SHScaler SHScaler;

// NULL and *err < 0 if there is no memory or the format cannot be read.
SHScaler *sh_scaler_new(const SHScaleParams *p, int *err);
// Fills dst (3*w*h bytes, upright). f must have the format and size promised.
int sh_scaler_run(SHScaler *s, const AVFrame *f, uint8_t *dst);
void sh_scaler_free(SHScaler *s);

#endif
