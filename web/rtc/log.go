package rtc

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// logs sends what pion logs to slog, a level lower: what it warns of is what peers
// on the network do, which is no fault of ours.
type logs struct{ log *slog.Logger }

// NewLogger implements logging.LoggerFactory.
func (l logs) NewLogger(scope string) logging.LeveledLogger {
	return leveled{l.log.With("pion", scope)}
}

type leveled struct{ log *slog.Logger }

func (l leveled) put(level slog.Level, format string, args []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, fmt.Sprintf(format, args...))
	}
}

// Below slog's own levels: only who debugs pion itself wants to see them.
const levelTrace = slog.LevelDebug - 4

func (l leveled) Trace(msg string)          { l.put(levelTrace, "%s", []any{msg}) }
func (l leveled) Tracef(f string, a ...any) { l.put(levelTrace, f, a) }
func (l leveled) Debug(msg string)          { l.put(levelTrace, "%s", []any{msg}) }
func (l leveled) Debugf(f string, a ...any) { l.put(levelTrace, f, a) }
func (l leveled) Info(msg string)           { l.put(levelTrace, "%s", []any{msg}) }
func (l leveled) Infof(f string, a ...any)  { l.put(levelTrace, f, a) }
func (l leveled) Warn(msg string)           { l.put(slog.LevelDebug, "%s", []any{msg}) }
func (l leveled) Warnf(f string, a ...any)  { l.put(slog.LevelDebug, f, a) }
func (l leveled) Error(msg string)          { l.put(slog.LevelDebug, "%s", []any{msg}) }
func (l leveled) Errorf(f string, a ...any) { l.put(slog.LevelDebug, f, a) }
