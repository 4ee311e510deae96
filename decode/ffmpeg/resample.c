#include "resample.h"

#include <libavutil/channel_layout.h>
#include <libavutil/mem.h>
#include <libavutil/opt.h>

#define BETA 10.0
#define CUTOFF 0.95

// Channels without a known place are dealt out to the outputs in turn, each
// output taking the mean of its own.
static int mix_unplaced(SwrContext *s, int in, int out) {
    double *m = av_calloc((size_t)in * out, sizeof(*m));
    if (!m)
        return AVERROR(ENOMEM);
    for (int o = 0; o < out; o++)
        for (int i = o % in; i < in; i += out)
            m[o * in + i] = 1.0 / ((in - o % in + out - 1) / out);
    int ret = swr_set_matrix(s, m, in);
    av_free(m);
    return ret;
}

int sh_swr_new(SwrContext **out, const AVFrame *f, int rate, int channels) {
    AVChannelLayout in = {0}, to = {0};
    int ret;
    *out = NULL;
    if (f->ch_layout.order == AV_CHANNEL_ORDER_UNSPEC)
        av_channel_layout_default(&in, f->ch_layout.nb_channels);
    else if ((ret = av_channel_layout_copy(&in, &f->ch_layout)) < 0)
        return ret;
    if (channels == 0 || channels == in.nb_channels)
        ret = av_channel_layout_copy(&to, &in);
    else {
        av_channel_layout_default(&to, channels);
        ret = 0;
    }
    if (ret >= 0)
        ret = swr_alloc_set_opts2(out, &to, AV_SAMPLE_FMT_FLT, rate, &in, f->format, f->sample_rate, 0, NULL);
    int unplaced = in.order != AV_CHANNEL_ORDER_NATIVE || to.order != AV_CHANNEL_ORDER_NATIVE;
    int n_in = in.nb_channels, n_out = to.nb_channels;
    av_channel_layout_uninit(&in);
    av_channel_layout_uninit(&to);
    if (ret < 0)
        return ret;
    SwrContext *s = *out;
    if (unplaced && n_in != n_out && (ret = mix_unplaced(s, n_in, n_out)) < 0) {
        swr_free(out);
        return ret;
    }
    // Mixing down must not leave [-1, 1]: swr normalizes its default matrix for
    // integer output only, unless told.
    av_opt_set_double(s, "rematrix_maxval", 1.0, 0);
    av_opt_set_sample_fmt(s, "internal_sample_fmt",
                          av_get_bytes_per_sample(f->format) > 4 ? AV_SAMPLE_FMT_DBLP : AV_SAMPLE_FMT_FLTP, 0);
    av_opt_set_int(s, "filter_size", SH_SWR_TAPS, 0);
    av_opt_set_double(s, "kaiser_beta", BETA, 0);
    av_opt_set_double(s, "cutoff", CUTOFF, 0);
    av_opt_set_int(s, "exact_rational", 1, 0);
    if ((ret = swr_init(s)) < 0)
        swr_free(out);
    return ret;
}

int sh_swr_feed(SwrContext *s, uint8_t *dst, int room, const AVFrame *f, int skip, int n) {
    const uint8_t *in[64];
    uint8_t *out[1] = {dst};
    int channels = f->ch_layout.nb_channels;
    int bytes = av_get_bytes_per_sample(f->format);
    if (!av_sample_fmt_is_planar(f->format)) {
        in[0] = f->extended_data[0] + (size_t)skip * bytes * channels;
        return swr_convert(s, out, room, in, n);
    }
    if (channels > 64)
        return AVERROR(EINVAL);
    for (int c = 0; c < channels; c++)
        in[c] = f->extended_data[c] + (size_t)skip * bytes;
    return swr_convert(s, out, room, in, n);
}

int sh_swr_flush(SwrContext *s, uint8_t *dst, int room) {
    uint8_t *out[1] = {dst};
    return swr_convert(s, out, room, NULL, 0);
}
