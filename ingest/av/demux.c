#include "demux.h"
#include "_cgo_export.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>

#include <libavutil/avstring.h>
#include <libavutil/opt.h>
#include <libavutil/time.h>

struct demux {
    AVFormatContext *fc;
    AVPacket *pkt;
    AVIOContext *root;
    const AVInputFormat *format;
    uintptr_t handle;
    atomic_int stop;
    atomic_llong deadline; // av_gettime_relative, in microseconds; 0: none
    AVCodecParameters **seen; // what the last packet of each stream came with
    int nb_seen;
};

// The AVIOContext of a stream that Go serves. FFmpeg asks a protocol for its
// options "location" and "mime_type": the HLS demuxer resolves relative entries
// against the first, probing looks at the second. An AVIOContext made by hand can
// answer too, with a class whose child is its opaque.
typedef struct {
    const AVClass *class;
    char *location, *mime_type;
    uintptr_t handle;
    int id;
} io_stream;

#define OPT(name) { #name, "", offsetof(io_stream, name), AV_OPT_TYPE_STRING, { .str = NULL }, 0, 0, AV_OPT_FLAG_EXPORT | AV_OPT_FLAG_READONLY }
static const AVOption io_options[] = { OPT(location), OPT(mime_type), { NULL } };

static const AVClass io_class = {
    .class_name = "seehear",
    .item_name = av_default_item_name,
    .option = io_options,
    .version = LIBAVUTIL_VERSION_INT,
};

static void *io_child(void *obj, void *prev)
{
    return prev ? NULL : ((AVIOContext *)obj)->opaque;
}

static const AVClass pb_class = {
    .class_name = "AVIOContext",
    .item_name = av_default_item_name,
    .version = LIBAVUTIL_VERSION_INT,
    .child_next = io_child,
};

static int io_read(void *opaque, uint8_t *buf, int size)
{
    io_stream *s = opaque;
    return seehearRead(s->handle, s->id, buf, size);
}

static int64_t io_seek(void *opaque, int64_t offset, int whence)
{
    io_stream *s = opaque;
    if (whence & AVSEEK_SIZE)
        return seehearSize(s->handle, s->id);
    return seehearSeek(s->handle, s->id, offset, whence & ~AVSEEK_FORCE);
}

static void pb_free(AVIOContext **pb)
{
    io_stream *s;
    if (!*pb)
        return;
    s = (*pb)->opaque;
    seehearClose(s->handle, s->id);
    av_freep(&s->location);
    av_freep(&s->mime_type);
    av_freep(&s);
    av_freep(&(*pb)->buffer);
    avio_context_free(pb);
}

enum { io_buffer = 64 << 10 };

// pb_open asks Go for the stream at url and wraps it. Go takes the root's URL from
// its own input: url is then only a name.
static int pb_open(demux *d, AVIOContext **pb, const char *url, int root, AVDictionary *options)
{
    const AVDictionaryEntry *e;
    const char *key = NULL, *iv = NULL;
    int64_t offset = 0, end = -1;
    int seekable = 0, ret;
    io_stream *s;
    uint8_t *buf;

    if ((e = av_dict_get(options, "offset", NULL, 0)))
        offset = strtoll(e->value, NULL, 10);
    if ((e = av_dict_get(options, "end_offset", NULL, 0)))
        end = strtoll(e->value, NULL, 10);
    if ((e = av_dict_get(options, "key", NULL, 0)))
        key = e->value;
    if ((e = av_dict_get(options, "iv", NULL, 0)))
        iv = e->value;

    if (!(s = av_mallocz(sizeof(*s))))
        return AVERROR(ENOMEM);
    s->class = &io_class;
    s->handle = d->handle;
    // Location and MIME type come back in memory of C.malloc.
    {
        char *location = NULL, *mime = NULL;
        ret = seehearOpen(d->handle, (char *)url, root, offset, end, (char *)key, (char *)iv,
                          &seekable, &location, &mime);
        if (ret >= 0) {
            s->id = ret;
            s->location = av_strdup(location);
            s->mime_type = av_strdup(mime);
        }
        free(location);
        free(mime);
    }
    if (ret < 0) {
        av_free(s);
        return ret;
    }
    buf = av_malloc(io_buffer);
    *pb = buf ? avio_alloc_context(buf, io_buffer, 0, s, io_read, NULL, io_seek) : NULL;
    if (!*pb || !s->location || !s->mime_type) {
        if (*pb) {
            pb_free(pb);
            return AVERROR(ENOMEM);
        }
        av_free(buf);
        seehearClose(s->handle, s->id);
        av_freep(&s->location);
        av_freep(&s->mime_type);
        av_free(s);
        return AVERROR(ENOMEM);
    }
    (*pb)->av_class = &pb_class;
    (*pb)->seekable = seekable ? AVIO_SEEKABLE_NORMAL : 0;
    return 0;
}

static int nested_open(AVFormatContext *fc, AVIOContext **pb, const char *url, int flags, AVDictionary **options)
{
    if (flags & AVIO_FLAG_WRITE)
        return AVERROR(EPERM);
    return pb_open(fc->opaque, pb, url, 0, options ? *options : NULL);
}

static int nested_close(AVFormatContext *fc, AVIOContext *pb)
{
    (void)fc;
    pb_free(&pb);
    return 0;
}

static int interrupted(void *opaque)
{
    demux *d = opaque;
    long long deadline;
    if (atomic_load(&d->stop))
        return 1;
    deadline = atomic_load(&d->deadline);
    return deadline && av_gettime_relative() > deadline;
}

demux *demux_new(uintptr_t handle)
{
    demux *d = av_mallocz(sizeof(*d));
    if (!d)
        return NULL;
    d->handle = handle;
    d->pkt = av_packet_alloc();
    d->fc = avformat_alloc_context();
    if (!d->pkt || !d->fc) {
        demux_free(d);
        return NULL;
    }
    d->fc->opaque = d;
    d->fc->io_open = nested_open;
    d->fc->io_close2 = nested_close;
    d->fc->interrupt_callback.callback = interrupted;
    d->fc->interrupt_callback.opaque = d;
    return d;
}

void demux_free(demux *d)
{
    if (!d)
        return;
    avformat_close_input(&d->fc); // leaves a custom pb to us
    pb_free(&d->root);
    av_packet_free(&d->pkt);
    for (int i = 0; i < d->nb_seen; i++)
        avcodec_parameters_free(&d->seen[i]);
    av_freep(&d->seen);
    av_free(d);
}

void demux_stop(demux *d) { atomic_store(&d->stop, 1); }

void demux_deadline(demux *d, int64_t ns)
{
    atomic_store(&d->deadline, ns > 0 ? av_gettime_relative() + ns / 1000 : 0);
}

int demux_detect(demux *d, const char *url, const char **format)
{
    int ret = pb_open(d, &d->root, url, 1, NULL);
    if (ret < 0)
        return ret;
    ret = av_probe_input_buffer2(d->root, &d->format, url, d->fc, 0, 0);
    if (ret < 0)
        return ret;
    *format = d->format->name;
    return ret;
}

int demux_open(demux *d, const char *url, const char *formats, const char *protocols,
               int64_t probe_size, int64_t analyze_us, int max_streams)
{
    AVDictionary *opt = NULL;
    int ret;

    d->fc->pb = d->root;
    d->fc->probesize = probe_size;
    d->fc->max_analyze_duration = analyze_us;
    d->fc->max_streams = max_streams;
    if (!(d->fc->format_whitelist = av_strdup(formats)) ||
        !(d->fc->protocol_whitelist = av_strdup(protocols)))
        return AVERROR(ENOMEM);
    if (!strcmp(d->format->name, "hls")) {
        // Both would take our AVIOContext for an HTTP connection of FFmpeg's.
        av_dict_set(&opt, "http_persistent", "0", 0);
        av_dict_set(&opt, "http_multiple", "0", 0);
        // The gate confines local files to the playlist's folder; by extension,
        // FFmpeg would refuse the usual names of keys.
        av_dict_set(&opt, "allowed_extensions", "ALL", 0);
        // Segments are often named without one. What they may hold is limited
        // by the list of formats.
        av_dict_set(&opt, "extension_picky", "0", 0);
    }
    ret = avformat_open_input(&d->fc, url, d->format, &opt); // frees fc if it fails
    av_dict_free(&opt);
    return ret;
}

int demux_probe(demux *d, int64_t max_pixels)
{
    unsigned n = d->fc->nb_streams;
    AVDictionary **opt = n ? av_calloc(n, sizeof(*opt)) : NULL;
    int ret;

    if (n && !opt)
        return AVERROR(ENOMEM);
    for (unsigned i = 0; i < n; i++) {
        av_dict_set_int(&opt[i], "max_pixels", max_pixels, 0);
        av_dict_set(&opt[i], "threads", "1", 0);
    }
    ret = avformat_find_stream_info(d->fc, opt);
    for (unsigned i = 0; i < n; i++)
        av_dict_free(&opt[i]);
    av_free(opt);
    return ret;
}

int demux_best(demux *d, enum AVMediaType type, int related)
{
    const AVCodec *codec = NULL;
    int ret;

    // A cover is a stream of one picture, which the search does not tell from a
    // video: it must not see it.
    for (unsigned i = 0; i < d->fc->nb_streams; i++)
        if (d->fc->streams[i]->disposition & AV_DISPOSITION_ATTACHED_PIC)
            d->fc->streams[i]->codecpar->codec_type = AVMEDIA_TYPE_ATTACHMENT;
    ret = av_find_best_stream(d->fc, type, -1, related, &codec, 0);
    for (unsigned i = 0; i < d->fc->nb_streams; i++)
        if (d->fc->streams[i]->disposition & AV_DISPOSITION_ATTACHED_PIC)
            d->fc->streams[i]->codecpar->codec_type = AVMEDIA_TYPE_VIDEO;
    return ret;
}

int demux_related(demux *d, int a, int b)
{
    AVProgram *p = NULL;
    if (!av_find_program_from_stream(d->fc, NULL, a))
        return 1;
    while ((p = av_find_program_from_stream(d->fc, p, a)))
        for (unsigned i = 0; i < p->nb_stream_indexes; i++)
            if (p->stream_index[i] == (unsigned)b)
                return 1;
    return 0;
}

void demux_select(demux *d, int a, int b)
{
    for (int i = 0; i < (int)d->fc->nb_streams; i++)
        d->fc->streams[i]->discard = i == a || i == b ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
}

int demux_read(demux *d)
{
    av_packet_unref(d->pkt);
    if (interrupted(d))
        return AVERROR_EXIT;
    return av_read_frame(d->fc, d->pkt);
}

int demux_ended(demux *d)
{
    // Of a playlist, the root is only the list.
    return d->root && strcmp(d->format->name, "hls") && avio_feof(d->root);
}

static int same(const AVCodecParameters *a, const AVCodecParameters *b)
{
    return a->codec_type == b->codec_type && a->codec_id == b->codec_id &&
           a->codec_tag == b->codec_tag && a->format == b->format &&
           a->profile == b->profile && a->width == b->width && a->height == b->height &&
           a->sample_rate == b->sample_rate && a->block_align == b->block_align &&
           a->bits_per_coded_sample == b->bits_per_coded_sample &&
           a->color_range == b->color_range && a->color_space == b->color_space &&
           a->color_primaries == b->color_primaries && a->color_trc == b->color_trc &&
           !av_channel_layout_compare(&a->ch_layout, &b->ch_layout) &&
           a->extradata_size == b->extradata_size &&
           (!a->extradata_size || !memcmp(a->extradata, b->extradata, a->extradata_size));
}

int demux_changed(demux *d, int index)
{
    const AVCodecParameters *now = d->fc->streams[index]->codecpar;
    AVCodecParameters *was;

    if (index >= d->nb_seen) {
        AVCodecParameters **p = av_realloc_array(d->seen, index + 1, sizeof(*p));
        if (!p)
            return 0;
        memset(p + d->nb_seen, 0, (index + 1 - d->nb_seen) * sizeof(*p));
        d->seen = p;
        d->nb_seen = index + 1;
    }
    was = d->seen[index];
    if (was && same(was, now))
        return 0;
    if (!was && !(d->seen[index] = avcodec_parameters_alloc()))
        return 0;
    avcodec_parameters_copy(d->seen[index], now);
    return was != NULL;
}

AVFormatContext *demux_format(demux *d) { return d->fc; }
AVPacket *demux_packet(demux *d) { return d->pkt; }

AVStream *demux_stream(demux *d, int index)
{
    return index >= 0 && index < (int)d->fc->nb_streams ? d->fc->streams[index] : NULL;
}

uint64_t layout_mask(const AVChannelLayout *l)
{
    return l->order == AV_CHANNEL_ORDER_NATIVE ? l->u.mask : 0;
}

int stream_rotation(const AVStream *st)
{
    const AVPacketSideData *sd = av_packet_side_data_get(
        st->codecpar->coded_side_data, st->codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
    double turn;

    if (!sd || sd->size < 9 * sizeof(int32_t))
        return 0;
    turn = av_display_rotation_get((const int32_t *)sd->data); // counterclockwise
    if (isnan(turn))
        return 0;
    return (((int)lround(-turn / 90) % 4) + 4) % 4 * 90;
}

int fd_wait(int fd, int wake)
{
    struct pollfd p[2] = { { .fd = fd, .events = POLLIN }, { .fd = wake, .events = POLLIN } };
    int ret;
    do
        ret = poll(p, 2, -1);
    while (ret < 0 && errno == EINTR);
    if (ret < 0)
        return -1;
    return p[1].revents ? 0 : 1;
}

static void log_line(void *class, int level, const char *fmt, va_list args)
{
    // A continued line ("..." without its end) keeps its prefix per thread.
    static _Thread_local int prefix = 1;
    char line[1024];

    if ((level & 0xff) > av_log_get_level())
        return;
    av_log_format_line2(class, level, fmt, args, line, sizeof(line), &prefix);
    seehearLog(level & 0xff, line);
}

void log_bridge(int level)
{
    av_log_set_level(level);
    av_log_set_callback(log_line);
}
