package av

// #include "demux.h"
import "C"

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/seehear/seehear/ingest"
)

var logger atomic.Pointer[bridge]

type bridge struct {
	log  *slog.Logger
	mu   sync.Mutex
	part strings.Builder // a line that has not ended
}

// BridgeLog sends FFmpeg's log, which is one for the whole process, to l without
// credentials; nil silences it. FFmpeg's errors become warnings, because damaged
// media are no failure of the program, its warnings become information, and the
// rest is for debugging. Lines that l would not print are not even formatted. The
// command calls it once, before the first Open; until then FFmpeg prints to
// standard error.
func BridgeLog(l *slog.Logger) {
	level := C.int(C.AV_LOG_QUIET)
	if l != nil {
		ctx := context.Background()
		switch {
		case l.Enabled(ctx, slog.LevelDebug):
			level = C.AV_LOG_VERBOSE
		case l.Enabled(ctx, slog.LevelInfo):
			level = C.AV_LOG_WARNING
		case l.Enabled(ctx, slog.LevelWarn):
			level = C.AV_LOG_ERROR
		case l.Enabled(ctx, slog.LevelError):
			level = C.AV_LOG_FATAL
		}
		logger.Store(&bridge{log: l})
	} else {
		logger.Store(nil)
	}
	C.log_bridge(level)
}

// line takes what FFmpeg logs, which may be a part of a line.
func (b *bridge) line(level int, s string) {
	b.mu.Lock()
	b.part.WriteString(s)
	if !strings.HasSuffix(s, "\n") && b.part.Len() < 4096 {
		b.mu.Unlock()
		return
	}
	text := strings.TrimRight(b.part.String(), "\r\n")
	b.part.Reset()
	b.mu.Unlock()

	to := slog.LevelDebug
	switch {
	case level <= C.AV_LOG_FATAL:
		to = slog.LevelError
	case level <= C.AV_LOG_ERROR:
		to = slog.LevelWarn
	case level <= C.AV_LOG_WARNING:
		to = slog.LevelInfo
	}
	b.log.Log(context.Background(), to, ingest.Redact(text), slog.String("from", "ffmpeg"))
}
