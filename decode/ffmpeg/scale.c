#include "scale.h"

#include <libavutil/common.h>
#include <libavutil/mem.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
#include <math.h>
#include <string.h>
#ifdef __SSE2__
#include <immintrin.h>
#endif

// Coefficients of the planar path have 14 bits and its intermediate samples too
// (8-bit value 255 is 16320), which leaves room for overshoot in 16.
#define BITS 14
// Pillow's fixed point for 8-bit channels.
#define PIL_BITS 22

typedef struct Axis {
    int n;          // places to compute
    int taps;       // coefficients per place, a multiple of the stride asked for
    int most;       // coefficients in use at any place
    int first, end; // samples that any place reads
    int *start;     // first sample of each place
    int16_t *c16;   // planar path
    int32_t *c32;   // Pillow's path; len counts the coefficients in use
    int *len;
} Axis;

struct SHScaler {
    SHScaleParams p;
    int rgb;                        // Pillow's path
    int depth, chroma;              // of the planar path; chroma: has U and V
    int plane[3], offset[3], step[3];
    int shift_w, shift_h;
    Axis x[2], y[2];                // luma, chroma (RGB: [0] alone)
    const uint8_t **rows;
    int16_t *column, *line[3];      // a row after the vertical pass; after both
    int16_t *wide[3];               // planes after the horizontal pass, where that is first
    uint8_t *half;                  // RGB: picture after the horizontal pass
    int16_t black, white;           // of luma, in 14 bits
    int32_t m[3][3], bias_y;        // Y U V to R G B, 20 bits
    struct SwsContext *sws;         // from formats that are not read directly
    AVFrame *mid;
};

static double filter_at(int kind, double x) {
    x = fabs(x);
    switch (kind) {
    case 0:
        return x < 1 ? 1 - x : 0;
    case 1:
        if (x < 1)
            return (1.5 * x - 2.5) * x * x + 1;
        return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
    default:
        if (x >= 3)
            return 0;
        if (x == 0)
            return 1;
        x *= M_PI;
        return sin(x) / x * sin(x / 3) / (x / 3);
    }
}

static void axis_free(Axis *a) {
    av_freep(&a->start);
    av_freep(&a->c16);
    av_freep(&a->c32);
    av_freep(&a->len);
}

// Computes the places [from, from+n) of `total` that a line of `size` samples
// becomes. The line is subsampled by `sub`; its sample i has its centre at
// i*sub + 0.5 + pos in units of the unsubsampled line, which is `whole` long.
// Windows are cut at the ends and normalized, as Pillow does.
static int axis_init(Axis *a, int size, int whole, int sub, double pos, int total, int from, int n,
                     int kind, int pad, int pillow) {
    static const double supports[] = {1, 2, 3};
    double scale = (double)whole / total;
    double stretch = fmax(scale / sub, 1);
    double support = supports[kind] * stretch;
    int most = (int)ceil(support) * 2 + 1;
    double *k;
    if (most > size)
        most = size;
    a->n = n;
    a->taps = (most + pad - 1) / pad * pad;
    a->first = size;
    a->end = 0;
    a->start = av_calloc(n, sizeof(*a->start));
    a->len = av_calloc(n, sizeof(*a->len));
    k = av_malloc_array(most, sizeof(*k));
    if (pillow)
        a->c32 = av_calloc((size_t)n * a->taps, sizeof(*a->c32));
    else
        a->c16 = av_calloc((size_t)n * a->taps, sizeof(*a->c16));
    if (!a->start || !a->len || !k || (!a->c16 && !a->c32)) {
        av_free(k);
        return AVERROR(ENOMEM);
    }
    for (int i = 0; i < n; i++) {
        double centre = ((i + from + 0.5) * scale - 0.5 - pos) / sub + 0.5;
        int lo = (int)(centre - support + 0.5), hi = (int)(centre + support + 0.5);
        double sum = 0, carry = 0;
        if (lo < 0)
            lo = 0;
        if (lo > size - 1)
            lo = size - 1;
        if (hi > size)
            hi = size;
        if (hi <= lo)
            hi = lo + 1;
        if (hi - lo > most)
            hi = lo + most;
        for (int j = lo; j < hi; j++)
            sum += k[j - lo] = filter_at(kind, (j - centre + 0.5) * (1 / stretch));
        if (sum == 0) {
            k[0] = sum = 1;
            hi = lo + 1;
        }
        double *w0 = k;
        while (hi - lo > 1 && fabs(*w0) < 1e-9 * fabs(sum))
            w0++, lo++;
        while (hi - lo > 1 && fabs(w0[hi - lo - 1]) < 1e-9 * fabs(sum))
            hi--;
        a->start[i] = lo;
        a->len[i] = hi - lo;
        a->most = FFMAX(a->most, hi - lo);
        for (int j = 0; j < hi - lo; j++) {
            double w = w0[j] / sum;
            if (pillow) {
                a->c32[(size_t)i * a->taps + j] = (int32_t)(w * (1 << PIL_BITS) + (w < 0 ? -0.5 : 0.5));
            } else {
                // The rounding is carried on, so that the sum is exact.
                double v = w * (1 << BITS) + carry;
                double r = floor(v + 0.5);
                carry = v - r;
                a->c16[(size_t)i * a->taps + j] = (int16_t)r;
            }
        }
        if (lo < a->first)
            a->first = lo;
        if (hi > a->end)
            a->end = hi;
    }
    av_free(k);
    return 0;
}

#ifdef __SSE2__
// vertical8 with twice the width, for whole blocks of 32; returns where it ended.
__attribute__((target("avx2"))) static int vertical8_avx2(int16_t *out, const uint8_t *const *rows, const int16_t *c,
                                                          int taps, int x0, int x1) {
    const __m256i zero = _mm256_setzero_si256(), round = _mm256_set1_epi32(1 << (BITS - 7));
    int i = x0;
    for (; i + 32 <= x1; i += 32) {
        __m256i s0 = round, s1 = round, s2 = round, s3 = round;
        for (int k = 0; k < taps; k += 2) {
            __m256i a = _mm256_loadu_si256((const __m256i *)(rows[k] + i));
            __m256i b = _mm256_loadu_si256((const __m256i *)(rows[k + 1] + i));
            __m256i cc = _mm256_set1_epi32((uint16_t)c[k] | (uint32_t)(uint16_t)c[k + 1] << 16);
            __m256i lo = _mm256_unpacklo_epi8(a, b), hi = _mm256_unpackhi_epi8(a, b);
            // The rows are too many streams for the hardware to foresee.
            _mm_prefetch((const char *)(rows[k] + i + 256), _MM_HINT_T0);
            _mm_prefetch((const char *)(rows[k + 1] + i + 256), _MM_HINT_T0);
            s0 = _mm256_add_epi32(s0, _mm256_madd_epi16(_mm256_unpacklo_epi8(lo, zero), cc));
            s1 = _mm256_add_epi32(s1, _mm256_madd_epi16(_mm256_unpackhi_epi8(lo, zero), cc));
            s2 = _mm256_add_epi32(s2, _mm256_madd_epi16(_mm256_unpacklo_epi8(hi, zero), cc));
            s3 = _mm256_add_epi32(s3, _mm256_madd_epi16(_mm256_unpackhi_epi8(hi, zero), cc));
        }
        // Unpacking and packing both work on halves of 128 bits.
        s0 = _mm256_packs_epi32(_mm256_srai_epi32(s0, BITS - 6), _mm256_srai_epi32(s1, BITS - 6));
        s2 = _mm256_packs_epi32(_mm256_srai_epi32(s2, BITS - 6), _mm256_srai_epi32(s3, BITS - 6));
        _mm256_storeu_si256((__m256i *)(out + i), _mm256_permute2x128_si256(s0, s2, 0x20));
        _mm256_storeu_si256((__m256i *)(out + i + 16), _mm256_permute2x128_si256(s0, s2, 0x31));
    }
    return i;
}
#endif

// One row of the vertical pass: out[i] = sum of c[k]*rows[k][i] for i in [x0,x1),
// 14 bits; taps is even.
static void vertical8(int16_t *out, const uint8_t *const *rows, const int16_t *c, int taps, int x0, int x1) {
    int i = x0;
#ifdef __SSE2__
    if (__builtin_cpu_supports("avx2"))
        i = vertical8_avx2(out, rows, c, taps, x0, x1);
    const __m128i zero = _mm_setzero_si128(), round = _mm_set1_epi32(1 << (BITS - 7));
    for (; i + 16 <= x1; i += 16) {
        __m128i s0 = round, s1 = round, s2 = round, s3 = round;
        for (int k = 0; k < taps; k += 2) {
            __m128i a = _mm_loadu_si128((const __m128i *)(rows[k] + i));
            __m128i b = _mm_loadu_si128((const __m128i *)(rows[k + 1] + i));
            __m128i cc = _mm_set1_epi32((uint16_t)c[k] | (uint32_t)(uint16_t)c[k + 1] << 16);
            __m128i lo = _mm_unpacklo_epi8(a, b), hi = _mm_unpackhi_epi8(a, b);
            s0 = _mm_add_epi32(s0, _mm_madd_epi16(_mm_unpacklo_epi8(lo, zero), cc));
            s1 = _mm_add_epi32(s1, _mm_madd_epi16(_mm_unpackhi_epi8(lo, zero), cc));
            s2 = _mm_add_epi32(s2, _mm_madd_epi16(_mm_unpacklo_epi8(hi, zero), cc));
            s3 = _mm_add_epi32(s3, _mm_madd_epi16(_mm_unpackhi_epi8(hi, zero), cc));
        }
        s0 = _mm_packs_epi32(_mm_srai_epi32(s0, BITS - 6), _mm_srai_epi32(s1, BITS - 6));
        s2 = _mm_packs_epi32(_mm_srai_epi32(s2, BITS - 6), _mm_srai_epi32(s3, BITS - 6));
        _mm_storeu_si128((__m128i *)(out + i), s0);
        _mm_storeu_si128((__m128i *)(out + i + 8), s2);
    }
#endif
    for (; i < x1; i++) {
        int32_t s = 1 << (BITS - 7);
        for (int k = 0; k < taps; k++)
            s += c[k] * rows[k][i];
        s >>= BITS - 6;
        out[i] = s > INT16_MAX ? INT16_MAX : s < INT16_MIN ? INT16_MIN : s;
    }
}

// The same for samples of `depth` bits in 16.
static void vertical16(int16_t *out, const uint8_t *const *rows, const int16_t *c, int taps, int x0, int x1, int depth) {
    int i = x0;
#ifdef __SSE2__
    if (depth < 16) {
        const __m128i round = _mm_set1_epi32(1 << (depth - 1)), shift = _mm_cvtsi32_si128(depth);
        for (; i + 8 <= x1; i += 8) {
            __m128i s0 = round, s1 = round;
            for (int k = 0; k < taps; k += 2) {
                __m128i a = _mm_loadu_si128((const __m128i *)(rows[k] + 2 * (size_t)i));
                __m128i b = _mm_loadu_si128((const __m128i *)(rows[k + 1] + 2 * (size_t)i));
                __m128i cc = _mm_set1_epi32((uint16_t)c[k] | (uint32_t)(uint16_t)c[k + 1] << 16);
                s0 = _mm_add_epi32(s0, _mm_madd_epi16(_mm_unpacklo_epi16(a, b), cc));
                s1 = _mm_add_epi32(s1, _mm_madd_epi16(_mm_unpackhi_epi16(a, b), cc));
            }
            _mm_storeu_si128((__m128i *)(out + i), _mm_packs_epi32(_mm_sra_epi32(s0, shift), _mm_sra_epi32(s1, shift)));
        }
    }
#endif
    for (; i < x1; i++) {
        int64_t s = 1 << (depth - 1);
        for (int k = 0; k < taps; k++)
            s += (int64_t)c[k] * ((const uint16_t *)rows[k])[i];
        s >>= depth;
        out[i] = s > INT16_MAX ? INT16_MAX : s < INT16_MIN ? INT16_MIN : s;
    }
}

// The horizontal pass over a row; a->taps is a multiple of 8 and in is readable
// for that many samples behind its end.
static void horizontal(int16_t *out, const int16_t *in, const Axis *a) {
    if (a->most == 1 && a->start[a->n - 1] - a->start[0] == a->n - 1) { // the width stays
        memcpy(out, in + a->start[0], a->n * sizeof(*out));
        return;
    }
    if (a->most == 2) { // enlarged bilinearly, as chroma often is
        for (int i = 0; i < a->n; i++) {
            const int16_t *src = in + a->start[i], *c = a->c16 + (size_t)i * a->taps;
            out[i] = (c[0] * src[0] + c[1] * src[1] + (1 << (BITS - 1))) >> BITS;
        }
        return;
    }
    for (int i = 0; i < a->n; i++) {
        const int16_t *src = in + a->start[i], *c = a->c16 + (size_t)i * a->taps;
        int32_t s = 1 << (BITS - 1);
#ifdef __SSE2__
        __m128i v = _mm_setzero_si128();
        for (int k = 0; k < a->taps; k += 8)
            v = _mm_add_epi32(v, _mm_madd_epi16(_mm_loadu_si128((const __m128i *)(src + k)),
                                                _mm_loadu_si128((const __m128i *)(c + k))));
        v = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0x4e));
        v = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0xb1));
        s += _mm_cvtsi128_si32(v);
#else
        for (int k = 0; k < a->taps; k++)
            s += c[k] * src[k];
#endif
        s >>= BITS;
        out[i] = s > INT16_MAX ? INT16_MAX : s < INT16_MIN ? INT16_MIN : s;
    }
}

// Bicubic and Lanczos overshoot at edges, and Pillow clips that between its
// passes. To do the same to luma, the horizontal pass has to come first, over
// every row that is needed; with a bilinear filter nothing overshoots, the order
// does not matter, and the one that is cheaper is taken.
static void widen(SHScaler *s, const AVFrame *f, int c) {
    const Axis *ax = &s->x[c > 0], *ay = &s->y[c > 0];
    int16_t lo = c ? 0 : s->black, hi = c ? INT16_MAX : s->white;
    int pl = s->plane[c];
    for (int y = ay->first; y < ay->end; y++) {
        const uint8_t *row = f->data[pl] + s->offset[c] + (ptrdiff_t)y * f->linesize[pl];
        int16_t *out = s->wide[c] + (size_t)(y - ay->first) * ax->n;
        if (s->depth == 8)
            for (int x = ax->first; x < ax->end; x++)
                s->column[x] = row[x] << (BITS - 8);
        else if (s->depth < BITS)
            for (int x = ax->first; x < ax->end; x++)
                s->column[x] = ((const uint16_t *)row)[x] << (BITS - s->depth);
        else
            for (int x = ax->first; x < ax->end; x++)
                s->column[x] = ((const uint16_t *)row)[x] >> (s->depth - BITS);
        horizontal(out, s->column, ax);
        for (int x = 0; x < ax->n; x++)
            out[x] = out[x] < lo ? lo : out[x] > hi ? hi : out[x];
    }
}

static inline uint8_t clip8(int32_t v) { return av_clip_uint8(v); }

// Where the stored pixel (0,0) of the wanted part lies in the upright image, and
// the way to its neighbours, in bytes.
static void placement(const SHScaleParams *p, ptrdiff_t *origin, ptrdiff_t *dx, ptrdiff_t *dy) {
    ptrdiff_t sx = 3, sy = 3 * (ptrdiff_t)(p->swap ? p->h : p->w);
    // flip_x and flip_y tell the direction in the upright image.
    int w = p->swap ? p->h : p->w, h = p->swap ? p->w : p->h;
    *origin = (p->flip_x ? (w - 1) * sx : 0) + (p->flip_y ? (h - 1) * sy : 0);
    if (p->flip_x)
        sx = -sx;
    if (p->flip_y)
        sy = -sy;
    *dx = p->swap ? sy : sx;
    *dy = p->swap ? sx : sy;
}

static void run_planar(SHScaler *s, const AVFrame *f, uint8_t *dst) {
    const SHScaleParams *p = &s->p;
    ptrdiff_t origin, dx, dy;
    int planes = s->chroma ? 3 : 1;
    placement(p, &origin, &dx, &dy);
    for (int c = 0; c < planes && s->wide[0]; c++)
        widen(s, f, c);
    for (int y = 0; y < p->h; y++) {
        for (int c = 0; c < planes; c++) {
            const Axis *ay = &s->y[c > 0], *ax = &s->x[c > 0];
            const int16_t *coef = ay->c16 + (size_t)y * ay->taps;
            int len = ay->len[y], taps = (len + 1) & ~1;
            const uint8_t *base;
            ptrdiff_t stride;
            if (s->wide[0]) {
                stride = ax->n * sizeof(int16_t);
                base = (const uint8_t *)s->wide[c] + (ay->start[y] - ay->first) * stride;
            } else {
                stride = f->linesize[s->plane[c]];
                base = f->data[s->plane[c]] + s->offset[c] + ay->start[y] * stride;
            }
            for (int k = 0; k < taps; k++) // an odd one out is there twice, with weight 0
                s->rows[k] = base + (k < len ? k : len - 1) * stride;
            if (s->wide[0]) {
                vertical16(s->line[c], s->rows, coef, taps, 0, ax->n, BITS);
                continue;
            }
            if (s->depth == 8)
                vertical8(s->column, s->rows, coef, taps, ax->first, ax->end);
            else
                vertical16(s->column, s->rows, coef, taps, ax->first, ax->end, s->depth);
            horizontal(s->line[c], s->column, ax);
        }
        uint8_t *d = dst + origin + y * dy;
        const int16_t *ly = s->line[0], *lu = s->line[1], *lv = s->line[2];
        const int32_t half = 1 << 19, bias = s->bias_y;
        // Copied, since the stores to d might alias s for all the compiler knows.
        const int32_t ky = s->m[0][0], ru = s->m[0][1], rv = s->m[0][2], gu = s->m[1][1], gv = s->m[1][2],
                      bu = s->m[2][1], bv = s->m[2][2];
        if (!s->chroma) {
            for (int x = 0; x < p->w; x++, d += dx)
                d[0] = d[1] = d[2] = clip8((ky * (ly[x] - bias) + half) >> 20);
            continue;
        }
        for (int x = 0; x < p->w; x++, d += dx) {
            int32_t yy = ky * (ly[x] - bias) + half, u = lu[x] - 8192, v = lv[x] - 8192;
            d[0] = clip8((yy + ru * u + rv * v) >> 20);
            d[1] = clip8((yy + gu * u + gv * v) >> 20);
            d[2] = clip8((yy + bu * u + bv * v) >> 20);
        }
    }
}

// Pillow's own order and rounding: horizontal first, to 8 bits, then vertical.
static void run_rgb(SHScaler *s, const AVFrame *f, uint8_t *dst) {
    const SHScaleParams *p = &s->p;
    const Axis *ax = &s->x[0], *ay = &s->y[0];
    ptrdiff_t origin, dx, dy;
    const int32_t half = 1 << (PIL_BITS - 1);
    placement(p, &origin, &dx, &dy);
    for (int y = ay->first; y < ay->end; y++) {
        uint8_t *out = s->half + (size_t)(y - ay->first) * p->w * 3;
        for (int c = 0; c < 3; c++) {
            int pl = s->plane[c], step = s->step[c];
            const uint8_t *row = f->data[pl] + (ptrdiff_t)y * f->linesize[pl] + s->offset[c];
            for (int x = 0; x < p->w; x++) {
                const uint8_t *src = row + (ptrdiff_t)ax->start[x] * step;
                const int32_t *k = ax->c32 + (size_t)x * ax->taps;
                int32_t sum = half;
                for (int j = 0; j < ax->len[x]; j++)
                    sum += k[j] * src[j * step];
                out[3 * x + c] = clip8(sum >> PIL_BITS);
            }
        }
    }
    int32_t *acc = (int32_t *)s->column;
    for (int y = 0; y < p->h; y++) {
        const int32_t *k = ay->c32 + (size_t)y * ay->taps;
        const uint8_t *in = s->half + (size_t)(ay->start[y] - ay->first) * p->w * 3;
        for (int x = 0; x < 3 * p->w; x++)
            acc[x] = half;
        for (int j = 0; j < ay->len[y]; j++, in += 3 * p->w)
            for (int x = 0; x < 3 * p->w; x++)
                acc[x] += k[j] * in[x];
        uint8_t *d = dst + origin + y * dy;
        for (int x = 0; x < p->w; x++, d += dx) {
            d[0] = clip8(acc[3 * x] >> PIL_BITS);
            d[1] = clip8(acc[3 * x + 1] >> PIL_BITS);
            d[2] = clip8(acc[3 * x + 2] >> PIL_BITS);
        }
    }
}

// How a format is read: 1 planar YUV or grey, 2 RGB with 8 bits, 0 not directly.
static int readable(const AVPixFmtDescriptor *d) {
    const uint64_t odd = AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BITSTREAM | AV_PIX_FMT_FLAG_HWACCEL |
                         AV_PIX_FMT_FLAG_BAYER | AV_PIX_FMT_FLAG_XYZ | AV_PIX_FMT_FLAG_FLOAT;
    if (d->flags & odd)
        return 0;
    int depth = d->comp[0].depth, color = d->nb_components >= 3 ? 3 : 1;
    for (int c = 0; c < color; c++) {
        const AVComponentDescriptor *k = &d->comp[c];
        if (k->depth != depth || k->shift)
            return 0;
        if (d->flags & AV_PIX_FMT_FLAG_RGB) {
            if (k->depth != 8)
                return 0;
        } else if (k->step != (depth > 8 ? 2 : 1)) {
            return 0;
        }
    }
    if (d->flags & AV_PIX_FMT_FLAG_RGB)
        return color == 3 ? 2 : 0;
    if (depth < 8 || depth > 16 || (depth > 8 && (d->flags & AV_PIX_FMT_FLAG_BE)))
        return 0;
    return 1;
}

// The format, read directly, that loses nothing visible of d.
static enum AVPixelFormat stand_in(enum AVPixelFormat format, const AVPixFmtDescriptor *d) {
    if ((d->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BAYER | AV_PIX_FMT_FLAG_XYZ)))
        return AV_PIX_FMT_RGB24;
    if (d->nb_components < 3)
        return d->comp[0].depth > 8 ? AV_PIX_FMT_GRAY16LE : AV_PIX_FMT_GRAY8;
    if (d->comp[0].depth > 8)
        return d->log2_chroma_h ? AV_PIX_FMT_YUV420P16LE : d->log2_chroma_w ? AV_PIX_FMT_YUV422P16LE : AV_PIX_FMT_YUV444P16LE;
    return d->log2_chroma_h ? AV_PIX_FMT_YUV420P : d->log2_chroma_w ? AV_PIX_FMT_YUV422P : AV_PIX_FMT_YUV444P;
}

static int init(SHScaler *s) {
    const SHScaleParams *p = &s->p;
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(p->format);
    enum AVPixelFormat format = p->format;
    int ret, how;
    if (!d)
        return AVERROR(EINVAL);
    how = readable(d);
    if (!how) {
        format = stand_in(p->format, d);
        if (!sws_isSupportedInput(p->format))
            return AVERROR(ENOSYS);
        // The size stays, and YUV stays YUV in its own matrix and range.
        s->sws = sws_getContext(p->src_w, p->src_h, p->format, p->src_w, p->src_h, format,
                                SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP, NULL, NULL, NULL);
        if (!s->sws)
            return AVERROR(ENOSYS);
        if (!(s->mid = av_frame_alloc()))
            return AVERROR(ENOMEM);
        s->mid->format = format;
        s->mid->width = p->src_w;
        s->mid->height = p->src_h;
        if ((ret = av_frame_get_buffer(s->mid, 0)) < 0)
            return ret;
        d = av_pix_fmt_desc_get(format);
        how = readable(d);
    }
    s->rgb = how == 2;
    s->depth = d->comp[0].depth;
    s->chroma = d->nb_components >= 3;
    s->shift_w = d->log2_chroma_w;
    s->shift_h = d->log2_chroma_h;
    for (int c = 0; c < (s->chroma ? 3 : 1); c++) {
        s->plane[c] = d->comp[c].plane;
        s->offset[c] = d->comp[c].offset;
        s->step[c] = d->comp[c].step;
    }
    if (s->rgb) {
        if ((ret = axis_init(&s->x[0], p->src_w, p->src_w, 1, 0, p->full_w, p->x, p->w, p->filter, 1, 1)) < 0 ||
            (ret = axis_init(&s->y[0], p->src_h, p->src_h, 1, 0, p->full_h, p->y, p->h, p->filter, 1, 1)) < 0)
            return ret;
        s->half = av_malloc_array(s->y[0].end - s->y[0].first, (size_t)3 * p->w);
        s->column = av_malloc_array(3 * (size_t)p->w, sizeof(int32_t));
        return s->half && s->column ? 0 : AVERROR(ENOMEM);
    }
    int cw = AV_CEIL_RSHIFT(p->src_w, s->shift_w), ch = AV_CEIL_RSHIFT(p->src_h, s->shift_h);
    if ((ret = axis_init(&s->x[0], p->src_w, p->src_w, 1, 0, p->full_w, p->x, p->w, p->filter, 8, 0)) < 0 ||
        (ret = axis_init(&s->y[0], p->src_h, p->src_h, 1, 0, p->full_h, p->y, p->h, p->filter, 2, 0)) < 0)
        return ret;
    if (s->chroma &&
        ((ret = axis_init(&s->x[1], cw, p->src_w, 1 << s->shift_w, s->shift_w ? p->chroma_x2 / 2.0 : 0,
                          p->full_w, p->x, p->w, p->filter, 8, 0)) < 0 ||
         (ret = axis_init(&s->y[1], ch, p->src_h, 1 << s->shift_h, s->shift_h ? p->chroma_y2 / 2.0 : 0,
                          p->full_h, p->y, p->h, p->filter, 2, 0)) < 0))
        return ret;
    int rows = FFMAX(s->y[0].taps, s->y[1].taps);
    s->rows = av_calloc(rows, sizeof(*s->rows));
    s->column = av_calloc((size_t)p->src_w + FFMAX(s->x[0].taps, s->x[1].taps) + 16, sizeof(*s->column));
    for (int c = 0; c < 3; c++)
        if (!(s->line[c] = av_calloc(p->w, sizeof(int16_t))))
            return AVERROR(ENOMEM);
    if (!s->rows || !s->column)
        return AVERROR(ENOMEM);
    for (int c = 0; p->filter && c < (s->chroma ? 3 : 1); c++)
        if (!(s->wide[c] = av_malloc_array(s->y[c > 0].end - s->y[c > 0].first, p->w * sizeof(int16_t))))
            return AVERROR(ENOMEM);

    // Integer samples to 8-bit RGB: luma and chroma spans in 14-bit units.
    double luma = 219 * 64, chroma = 224 * 64;
    s->bias_y = 16 * 64;
    if (p->full_range) {
        luma = chroma = ((1 << s->depth) - 1) * (double)(1 << BITS) / (1 << s->depth);
        s->bias_y = 0;
    }
    s->black = s->bias_y;
    s->white = lrint(s->bias_y + luma);
    const double one = 255.0 * (1 << 20), k[3][2] = {{p->r_u, p->r_v}, {p->g_u, p->g_v}, {p->b_u, p->b_v}};
    for (int c = 0; c < 3; c++) {
        s->m[c][0] = lrint(one / luma);
        s->m[c][1] = lrint(k[c][0] * one / chroma);
        s->m[c][2] = lrint(k[c][1] * one / chroma);
    }
    return 0;
}

SHScaler *sh_scaler_new(const SHScaleParams *p, int *err) {
    SHScaler *s = av_mallocz(sizeof(*s));
    *err = AVERROR(ENOMEM);
    if (!s)
        return NULL;
    s->p = *p;
    if ((*err = init(s)) < 0) {
        sh_scaler_free(s);
        return NULL;
    }
    return s;
}

int sh_scaler_run(SHScaler *s, const AVFrame *f, uint8_t *dst) {
    if (f->format != s->p.format || f->width != s->p.src_w || f->height != s->p.src_h)
        return AVERROR(EINVAL);
    if (s->sws) {
        int ret = sws_scale(s->sws, (const uint8_t *const *)f->data, f->linesize, 0, f->height,
                            s->mid->data, s->mid->linesize);
        if (ret < 0)
            return ret;
        f = s->mid;
    }
    if (s->rgb)
        run_rgb(s, f, dst);
    else
        run_planar(s, f, dst);
    return 0;
}

void sh_scaler_free(SHScaler *s) {
    if (!s)
        return;
    for (int i = 0; i < 2; i++) {
        axis_free(&s->x[i]);
        axis_free(&s->y[i]);
    }
    for (int c = 0; c < 3; c++)
        av_freep(&s->line[c]);
    for (int c = 0; c < 3; c++)
        av_freep(&s->wide[c]);
    av_freep(&s->rows);
    av_freep(&s->column);
    av_freep(&s->half);
    sws_freeContext(s->sws);
    av_frame_free(&s->mid);
    av_free(s);
}
