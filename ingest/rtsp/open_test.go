package rtsp_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/mediatest"
	"github.com/seehear/seehear/ingest/rtsp"
	"github.com/seehear/seehear/ingest/rtsp/rtsptest"
	"github.com/seehear/seehear/ingest/sourcetest"
)

// certificate is a server's, signed by itself.
func certificate(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// trusting trusts anybody.
func trusting() *tls.Config { return &tls.Config{InsecureSkipVerify: true} } //nolint:gosec // a test's own server

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	clip := rtsptest.Load(t, mediatest.ByName(t, "mp4-h264-aac").File)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	untrusted := rtsptest.Start(t, clip, rtsptest.Options{TLS: certificate(t)})
	for name, c := range map[string]struct{ address, want string }{
		"no address":      {"rtsp://", "no host"},
		"no such scheme":  {"http://u:S3cr3t@127.0.0.1/", "scheme"},
		"nonsense":        {"rtsp://u:S3cr3t@h:port/", "port"},
		"refused":         {"rtsp://u:S3cr3t@" + closed.Addr().String() + "/", "refused"},
		"no answer":       {"rtsp://u:S3cr3t@" + silent.Addr().String() + "/", "timed out"},
		"not trustworthy": {strings.Replace(untrusted.URL(), "rtsps://", "rtsps://u:S3cr3t@", 1), "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			src, err := rtsp.Open(t.Context(), c.address, rtsp.Options{ReadTimeout: 300 * ms})
			if err == nil {
				src.Close()
				t.Fatal("it opens")
			}
			text := err.Error()
			if !strings.HasPrefix(text, "ingest: open ") || !strings.Contains(text, c.want) || strings.Contains(text, "S3cr3t") || strings.Contains(text, "\n") {
				t.Errorf("%q, want %q in it", text, c.want)
			}
		})
	}
	t.Run("the context ends", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*ms)
		defer cancel()
		begin := time.Now()
		_, err := rtsp.Open(ctx, "rtsp://"+silent.Addr().String()+"/", rtsp.Options{})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
	t.Run("no key frame", func(t *testing.T) {
		m := *clip
		m.Packets = nil
		for _, p := range clip.Packets {
			if !p.Key {
				m.Packets = append(m.Packets, p)
			}
		}
		s := rtsptest.Start(t, m.Only(ingest.Video), rtsptest.Options{InBand: true})
		_, err := rtsp.Open(t.Context(), s.URL(), rtsp.Options{ReadTimeout: 300 * ms})
		if err == nil || !strings.Contains(err.Error(), "nothing that can be decoded") {
			t.Errorf("%v", err)
		}
	})
}

// A stream that can't be described in time is not waited for. It joins when it can,
// and lies where it belongs.
func TestJoinsLate(t *testing.T) {
	t.Parallel()
	truth := mediatest.ByName(t, "mp4-h264-aac")
	clip := rtsptest.Load(t, truth.File)
	m := *clip
	m.Packets = nil
	for _, p := range clip.Packets {
		if p.Stream == clip.Streams[1].Index || !p.Key {
			m.Packets = append(m.Packets, p)
		}
	}
	s := rtsptest.Start(t, &m, rtsptest.Options{InBand: true, Speed: 8, SoundLate: 200 * ms})
	src := open(t, s.URL(), rtsp.Options{ReadTimeout: 5 * time.Second})
	if list := src.Streams(); len(list) != 1 || list[0].Kind != ingest.Audio || list[0].Index != 1 {
		t.Fatalf("%+v", list)
	}
	s.Play(clip)
	for len(src.Streams()) < 2 {
		p, err := src.Read(t.Context())
		if err != nil || (p.Stream == 0) != (p.Changed != nil) || p.Stream == 0 && !p.Key {
			t.Fatalf("%+v, %v", p, err)
		}
	}
	if st := src.Streams()[0]; st.Kind != ingest.Video || st.Width != truth.Video.W || st.Height != truth.Video.H {
		t.Errorf("%+v", st)
	}
	got := watch(t, src, func(m *media) bool { return until(0, 5*time.Second)(m) })
	checkApart(t, got.apart(truth, not(got.longest(0))), 3)
}

// The suite of sources, where it speaks of sources without an end.
func TestBlocked(t *testing.T) {
	t.Parallel()
	clip := rtsptest.Load(t, mediatest.ByName(t, "mp4-h264-aac").File)
	sourcetest.Blocked(t, func(tb testing.TB) ingest.Source {
		s := rtsptest.Start(tb, clip, rtsptest.Options{})
		src, err := rtsp.Open(tb.Context(), s.URL(), rtsp.Options{})
		if err != nil {
			tb.Fatal(err)
		}
		s.Freeze()
		return src
	})
}

// Nothing for ReadTimeout is an error of its own.
func TestReadTimeout(t *testing.T) {
	t.Parallel()
	clip := rtsptest.Load(t, mediatest.ByName(t, "mp4-h264-aac").File)
	s := rtsptest.Start(t, clip, rtsptest.Options{})
	src := open(t, s.URL(), rtsp.Options{ReadTimeout: 300 * ms})
	s.Freeze()
	var err error
	for err == nil {
		_, err = src.Read(t.Context())
	}
	if !strings.HasPrefix(err.Error(), "ingest: read rtsp://") || !strings.Contains(err.Error(), "time") {
		t.Errorf("%v", err)
	}
}
