// libswresample with samples counted and written straight into Go memory.
#ifndef SEEHEAR_DECODE_RESAMPLE_H
#define SEEHEAR_DECODE_RESAMPLE_H

#include <libavutil/frame.h>
#include <libswresample/swresample.h>
#include <stdint.h>

// A Kaiser window of this length and shape keeps the band below 0.8 of the lower
// Nyquist frequency flat and what folds into it far down (resample_test.go
// measures both).
#define SH_SWR_TAPS 48

// A context from the form of f to interleaved float32.
int sh_swr_new(SwrContext **out, const AVFrame *f, int rate, int channels);
// Converts samples [skip, skip+n) of f; at most room samples are written.
int sh_swr_feed(SwrContext *s, uint8_t *dst, int room, const AVFrame *f, int skip, int n);
int sh_swr_flush(SwrContext *s, uint8_t *dst, int room);

#endif
