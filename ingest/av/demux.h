// The part of ingest/av that is C: an AVFormatContext whose every byte comes from
// Go, an interrupter and the log. One demux is used by one thread at a time,
// except demux_stop, which any thread may call while the demux lives.
#ifndef SEEHEAR_DEMUX_H
#define SEEHEAR_DEMUX_H

#include <libavcodec/avcodec.h>
#include <libavcodec/codec_desc.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/log.h>
#include <libavutil/pixdesc.h>
#include <stdint.h>

typedef struct demux demux;

// demux_new returns NULL without memory. The handle names the Go side.
demux *demux_new(uintptr_t handle);
void demux_free(demux *d);

// demux_stop makes everything that d is doing return AVERROR_EXIT, for good.
void demux_stop(demux *d);
// demux_deadline ends what d is doing after ns nanoseconds from now; 0 disarms.
void demux_deadline(demux *d, int64_t ns);

// demux_detect opens the root (Go's stream 0), finds the format and returns how
// sure it is (AVPROBE_SCORE_…).
int demux_detect(demux *d, const char *url, const char **format);
// demux_open reads the header.
int demux_open(demux *d, const char *url, const char *formats, const char *protocols,
               int64_t probe_size, int64_t analyze_us, int max_streams);
// demux_probe reads until the streams' parameters are known.
int demux_probe(demux *d, int64_t max_pixels);
// demux_best returns the index of the best stream that is not an attached
// picture, or an error.
int demux_best(demux *d, enum AVMediaType type, int related);
// demux_related reports whether two streams run on one clock: they share a
// program, or there are none.
int demux_related(demux *d, int a, int b);
// demux_select keeps the streams a and b (-1 for none) and discards the others.
void demux_select(demux *d, int a, int b);
// demux_read reads the next packet into demux_packet.
int demux_read(demux *d);
// demux_ended reports whether the input's bytes are used up.
int demux_ended(demux *d);
// demux_changed reports whether the parameters of the stream differ from those at
// the call before.
int demux_changed(demux *d, int index);

AVFormatContext *demux_format(demux *d);
AVPacket *demux_packet(demux *d);
AVStream *demux_stream(demux *d, int index);

uint64_t layout_mask(const AVChannelLayout *l);
int stream_rotation(const AVStream *st);

// fd_wait waits until fd is readable (1) or wake is (0); -1 on error.
int fd_wait(int fd, int wake);

// log_bridge sends FFmpeg's log up to level to Go.
void log_bridge(int level);

#endif
