package av

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// buffer is a writer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestBridgeLog(t *testing.T) {
	defer BridgeLog(slog.New(slog.DiscardHandler))
	path := filepath.Join(t.TempDir(), "cut.mp4")
	write(t, path, read(t, clip(t, "moovlast.mp4"))[:5000])

	var out buffer
	BridgeLog(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn})))
	_, err := Open(t.Context(), path, DefaultOptions())
	if err == nil || !strings.Contains(out.String(), `level=WARN msg="[mov,mp4`) || !strings.Contains(out.String(), "moov atom not found") {
		t.Errorf("%v, log:\n%s", err, out.String())
	}
	if strings.Contains(out.String(), "level=INFO") {
		t.Errorf("too much was logged:\n%s", out.String())
	}

	// The HLS demuxer names every entry that it opens.
	clip(t, "list.m3u8")
	good := read(t, filepath.Join(clipDir, "list0.ts"))
	n := &internet{handler: playlist(good, "#EXTINF:1,\ngood.ts?token=s3cret\n#EXTINF:1,\nhttp://me:s3cret@other.example/good.ts")}
	var verbose buffer
	BridgeLog(slog.New(slog.NewTextHandler(&verbose, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err := readAll(t, "http://me:s3cret@media.example/list.m3u8?sig=s3cret", n.options(t)); err != nil {
		t.Error(err)
	}
	if s := verbose.String(); !strings.Contains(s, "good.ts") || strings.Contains(s, "s3cret") {
		t.Errorf("log:\n%s", s)
	}

	var silent buffer
	BridgeLog(slog.New(slog.NewTextHandler(&silent, nil)))
	BridgeLog(nil)
	_, _ = Open(t.Context(), path, DefaultOptions())
	if silent.String() != "" {
		t.Errorf("log:\n%s", silent.String())
	}
}

func TestLogLinesAreJoined(t *testing.T) {
	var out buffer
	b := &bridge{log: slog.New(slog.NewTextHandler(&out, nil))}
	b.line(16, "one ")
	b.line(16, "http://u:p@h/ line\n")
	b.line(8, strings.Repeat("x", 5000)) // it never ends
	if s := out.String(); !strings.Contains(s, `msg="one http://REDACTED@h/ line"`) || !strings.Contains(s, "level=ERROR") {
		t.Errorf("log:\n%s", s)
	}
	if !b.log.Enabled(context.Background(), slog.LevelError) {
		t.Fatal()
	}
}
