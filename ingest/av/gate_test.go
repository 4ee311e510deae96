package av

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seehear/seehear/ingest"
)

func TestPublic(t *testing.T) {
	for s, want := range map[string]bool{
		"93.184.216.34": true, "1.1.1.1": true, "2606:4700::1111": true, "64:ff9b::101:101": true, "2002:101:101::": true,
		"127.0.0.1": false, "127.9.9.9": false, "::1": false, "0.0.0.0": false, "::": false, "0.1.2.3": false,
		"10.0.0.1": false, "172.16.0.1": false, "172.31.255.255": false, "172.32.0.1": true, "192.168.1.1": false,
		"169.254.169.254": false, "fe80::1": false, "fe80::1%eth0": false, "fd00::1": false, "fc00::1": false, "fec0::1": false,
		"100.64.0.1": false, "100.127.255.255": false, "100.128.0.1": true, "192.0.0.1": false, "198.18.0.1": false,
		"224.0.0.1": false, "255.255.255.255": false, "240.0.0.1": false, "ff02::1": false,
		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:8.8.8.8": true, "::127.0.0.1": false,
		"64:ff9b::7f00:1": false, "64:ff9b::a00:1": false, "2002:7f00:1::": false, "2002:c0a8:101::": false, "2001:db8::1": false, "2001::1": false,
	} {
		if got := public(netip.MustParseAddr(s)); got != want {
			t.Errorf("public(%s) = %v", s, got)
		}
	}
	if public(netip.Addr{}) {
		t.Error("no address is public")
	}
}

// internet gives a test a public internet of its own: media.example and
// other.example lie at public addresses that lead to handler; everything else
// resolves as told. A connection to any address that is not public counts.
type internet struct {
	handler http.Handler
	hosts   map[string]string
	private atomic.Int64
}

const publicIP, otherIP = "93.184.216.34", "93.184.216.35"

func (n *internet) options(t *testing.T) Options {
	t.Helper()
	server := httptest.NewServer(n.handler)
	t.Cleanup(server.Close)
	server.Config.SetKeepAlivesEnabled(false) // every request resolves and dials
	if n.hosts == nil {
		n.hosts = map[string]string{}
	}
	opt := DefaultOptions()
	opt.resolve = func(_ context.Context, host string) ([]netip.Addr, error) {
		ip, ok := map[string]string{"media.example": publicIP, "other.example": otherIP, "localhost": "127.0.0.1"}[host]
		if set, is := n.hosts[host]; is {
			ip, ok = set, true
		}
		if !ok {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		return []netip.Addr{netip.MustParseAddr(ip)}, nil
	}
	opt.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		if !public(netip.MustParseAddr(host)) {
			n.private.Add(1)
		}
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}
	return opt
}

// playlist is a handler that serves a playlist of the given segment, and a good
// segment at /good.ts.
func playlist(good []byte, lines string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/list.m3u8", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n%s\n#EXT-X-ENDLIST\n", lines)
	})
	mux.HandleFunc("/good.ts", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(good) })
	mux.HandleFunc("/to", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("url"), http.StatusFound)
	})
	return mux
}

func TestGateOfRemoteInputs(t *testing.T) {
	clip(t, "list.m3u8")
	good := read(t, filepath.Join(clipDir, "list0.ts"))
	entry := func(url string) string { return "#EXTINF:1,\n" + url }
	tests := []struct {
		name, input, lines string
		hosts              map[string]string
		want               string // in the error, "" for none
	}{
		{name: "a good playlist", lines: entry("good.ts")},
		{name: "another public host", lines: entry("http://other.example/good.ts")},
		{name: "a redirect to a public host", lines: entry("/to?url=http://other.example/good.ts")},
		{name: "a data URL", lines: `#EXT-X-KEY:METHOD=NONE,URI="data:,x"` + "\n" + entry("good.ts")},
		{name: "file", lines: entry("file:///etc/passwd"), want: "refused to open file:///etc/passwd"},
		{name: "file after a good one", lines: entry("good.ts") + "\n" + entry("file:///etc/passwd"), want: "refused to open file:///etc/passwd"},
		{name: "crypto over file", lines: "#EXT-X-KEY:METHOD=AES-128,URI=\"good.ts\"\n" + entry("file:///etc/passwd"), want: "refused to open file:///etc/passwd"},
		{name: "a key in a file", lines: "#EXT-X-KEY:METHOD=AES-128,URI=\"file:///etc/passwd\"\n" + entry("good.ts"), want: "refused to open file:///etc/passwd"},
		{name: "a map in a file", lines: "#EXT-X-MAP:URI=\"file:///etc/passwd\"\n" + entry("good.ts"), want: "refused to open file:///etc/passwd"},
		{name: "concat", lines: entry("concat:/etc/passwd|/etc/hosts"), want: "can't read"},
		{name: "subfile", lines: entry("subfile,,start,0,end,9,,:/etc/passwd"), want: "can't read"},
		{name: "pipe", lines: entry("pipe:0"), want: "can't read"},
		{name: "loopback by number", lines: entry("http://127.0.0.1/good.ts"), want: "127.0.0.1 is not a public address"},
		{name: "loopback in IPv6", lines: entry("http://[::1]/good.ts"), want: "::1 is not a public address"},
		{name: "loopback in IPv6 of IPv4", lines: entry("http://[::ffff:127.0.0.1]/good.ts"), want: "127.0.0.1 is not a public address"},
		{name: "loopback by name", lines: entry("http://localhost/good.ts"), want: "127.0.0.1 is not a public address"},
		{name: "the cloud's metadata", lines: entry("http://169.254.169.254/latest.ts"), want: "169.254.169.254 is not a public address"},
		{name: "a key in a private place", lines: "#EXT-X-KEY:METHOD=AES-128,URI=\"http://10.0.0.1/key\"\n" + entry("good.ts"), want: "10.0.0.1 is not a public address"},
		{name: "a public name for a private address", lines: entry("http://inner.example/good.ts"), hosts: map[string]string{"inner.example": "192.168.0.9"}, want: "192.168.0.9 is not a public address"},
		{name: "a segment's redirect", lines: entry("/to?url=http://127.0.0.1/good.ts"), want: "127.0.0.1 is not a public address"},
		{name: "a segment's redirect to a file", lines: entry("/to?url=file:///etc/passwd"), want: "refused to open file:///etc/passwd"},
		{name: "the input's redirect", input: "http://media.example/to?url=http://127.0.0.1/good.ts", want: "127.0.0.1 is not a public address"},
		{name: "the input's redirect to a file", input: "http://media.example/to?url=file:///etc/passwd", want: "refused to open file:///etc/passwd"},
		{name: "the input's redirect to FTP", input: "http://media.example/to?url=ftp://other.example/x", want: "refused to open ftp://other.example/x"},
		{name: "a private address behind another input", input: "http://10.0.0.5/list.m3u8", lines: entry("http://10.0.0.6/good.ts"), want: "10.0.0.6 is not a public address"},
		{name: "another port of the input", input: "http://10.0.0.5/list.m3u8", lines: entry("http://10.0.0.5:6379/good.ts"), want: "10.0.0.5 is not a public address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := &internet{handler: playlist(good, tt.lines), hosts: tt.hosts}
			opt := n.options(t)
			input := tt.input
			if input == "" {
				input = "http://media.example/list.m3u8"
			}
			err := readAll(t, input, opt)
			switch {
			case tt.want == "" && err != nil:
				t.Fatal(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Fatalf("the error is %v, want %q in it", err, tt.want)
			}
			if own := strings.HasPrefix(input, "http://10."); n.private.Load() > 0 && !own {
				t.Fatalf("%d connections to addresses that are not public", n.private.Load())
			}
		})
	}
}

// readAll opens and reads to the end; nil means that it came.
func readAll(t *testing.T, input string, opt Options) error {
	t.Helper()
	s, err := Open(t.Context(), input, opt)
	if err != nil {
		return err
	}
	defer s.Close()
	for {
		if _, err := s.Read(t.Context()); err != nil {
			if err.Error() == "EOF" {
				return nil
			}
			return err
		}
	}
}

// What the user names may be private, by number or by name, and what lies at the
// same address and port may follow.
func TestPrivateInputMayStayAtHome(t *testing.T) {
	clip(t, "list.m3u8")
	good := read(t, filepath.Join(clipDir, "list0.ts"))
	for _, input := range []string{"http://10.0.0.5/list.m3u8", "http://nas.example/list.m3u8"} {
		n := &internet{handler: playlist(good, "#EXTINF:1,\nhttp://10.0.0.5/good.ts"), hosts: map[string]string{"nas.example": "10.0.0.5"}}
		if err := readAll(t, input, n.options(t)); err != nil {
			t.Errorf("%s: %v", input, err)
		}
	}
}

// A name that is public when the input is opened and private afterwards.
func TestRebinding(t *testing.T) {
	clip(t, "list.m3u8")
	good := read(t, filepath.Join(clipDir, "list0.ts"))
	n := &internet{handler: playlist(good, "#EXTINF:1,\ngood.ts")}
	opt := n.options(t)
	asked := 0
	opt.resolve = func(context.Context, string) ([]netip.Addr, error) {
		asked++
		if asked == 1 {
			return []netip.Addr{netip.MustParseAddr(publicIP)}, nil
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	err := readAll(t, "http://media.example/list.m3u8", opt)
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1 is not a public address") || n.private.Load() != 0 {
		t.Fatalf("%v, %d private connections", err, n.private.Load())
	}
}

func TestGateOfLocalPlaylists(t *testing.T) {
	clip(t, "list.m3u8")
	good := read(t, filepath.Join(clipDir, "list0.ts"))
	outside := filepath.Join(t.TempDir(), "outside.ts")
	write(t, outside, good)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "good.ts"), good)
	write(t, filepath.Join(dir, "sub", "good.ts"), good)
	for link, to := range map[string]string{"link.ts": outside, "inner.ts": "good.ts"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	up, err := filepath.Rel(dir, outside)
	if err != nil {
		t.Fatal(err)
	}
	n := &internet{handler: playlist(good, "")}
	tests := []struct {
		entry  string
		remote bool
		want   string
	}{
		{entry: "good.ts"},
		{entry: "sub/good.ts"},
		{entry: "sub/../good.ts"},
		{entry: "inner.ts"},
		{entry: filepath.Join(dir, "good.ts")},
		{entry: "file://" + filepath.Join(dir, "good.ts")},
		{entry: outside, want: "outside the folder"},
		{entry: up, want: "outside the folder"},
		{entry: "link.ts", want: "outside the folder"},
		{entry: "file://" + outside, want: "outside the folder"},
		{entry: "file:///etc/passwd", want: "outside the folder"},
		{entry: "file://media.example/good.ts", want: "must not name a host"},
		{entry: "http://media.example/good.ts", want: "may not open the network"},
		{entry: "http://media.example/good.ts", remote: true},
		{entry: "http://127.0.0.1/good.ts", remote: true, want: "not a public address"},
		{entry: "missing.ts", want: "no such file"},
	}
	for _, tt := range tests {
		t.Run(strings.NewReplacer("/", "_", dir, "").Replace(tt.entry), func(t *testing.T) {
			list := filepath.Join(dir, "test.m3u8")
			write(t, list, []byte("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\n"+tt.entry+"\n#EXT-X-ENDLIST\n"))
			opt := n.options(t)
			opt.Remote = tt.remote
			err := readAll(t, list, opt)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Fatalf("the error is %v, want %q in it", err, tt.want)
			}
		})
	}
	t.Run("by a relative name", func(t *testing.T) {
		t.Chdir(dir)
		write(t, "test.m3u8", []byte("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\ngood.ts\n#EXTINF:1,\n"+dir+"/sub/good.ts\n#EXT-X-ENDLIST\n"))
		if err := readAll(t, "test.m3u8", DefaultOptions()); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("from a reader", func(t *testing.T) {
		opt := DefaultOptions()
		opt.Reader = strings.NewReader("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\nfile://" + outside + "\n#EXT-X-ENDLIST\n")
		err := readAll(t, "test.m3u8", opt)
		if err == nil || !strings.Contains(err.Error(), "refused") {
			t.Fatal(err)
		}
	})
}

func TestInputsThatAreRefused(t *testing.T) {
	tests := map[string]string{
		"concat:a.mp4|b.mp4":              "protocol concat: is not allowed",
		"subfile,,start,0,end,9,,:a.mp4":  "protocol subfile: is not allowed",
		"pipe:0":                          "protocol pipe: is not allowed",
		"crypto:a.mp4":                    "protocol crypto: is not allowed",
		"CONCAT:a.mp4":                    "protocol concat: is not allowed",
		"data:video/mp4;base64,AA":        "protocol data: is not allowed",
		"rtmp://host/app":                 "protocol rtmp is not supported",
		"concat://a.mp4":                  "protocol concat is not supported",
		"ftp://u:secret@host/a.mp4":       "protocol ftp is not supported",
		"file://host/a.mp4":               "must not name a host",
		"http://":                         "has no host",
		"http://a b/":                     "not a URL",
		"":                                "no name",
		"crypto+http://media.example/a":   "protocol crypto+http is not supported",
		"http://media.example:99999/a.ts": "port",
	}
	for input, want := range tests {
		_, err := Open(t.Context(), input, DefaultOptions())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, want %q in it", input, err, want)
		}
	}
}

func TestFileURLAndOddNames(t *testing.T) {
	b := read(t, clip(t, "tone.wav"))
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"a b%20c.wav", "concat:x.wav", "http:x.wav", "x?token=1#2.wav"} {
		write(t, name, b)
		if err := readAll(t, name, DefaultOptions()); err != nil {
			t.Error(err)
		}
	}
	if err := readAll(t, "file://"+dir+"/a%20b%2520c.wav", DefaultOptions()); err != nil {
		t.Error(err)
	}
}

func TestTLSIsVerified(t *testing.T) {
	clip(t, "tone.wav")
	server := httptest.NewUnstartedServer(http.FileServer(http.Dir(clipDir)))
	server.Config.ErrorLog = quiet()
	server.StartTLS()
	defer server.Close()
	err := readAll(t, server.URL+"/tone.wav", DefaultOptions())
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &unknown) {
		t.Errorf("a certificate of nobody: %v", err)
	}
	opt := DefaultOptions()
	opt.roots = x509.NewCertPool()
	opt.roots.AddCert(server.Certificate())
	if err := readAll(t, server.URL+"/tone.wav", opt); err != nil {
		t.Error(err)
	}
}

// The password of the input opens its own server, nobody else's, and is shown
// nowhere.
func TestCredentials(t *testing.T) {
	clip(t, "list.m3u8")
	good := read(t, filepath.Join(clipDir, "list0.ts"))
	var leaked atomic.Bool
	inner := playlist(good, "#EXTINF:1,\ngood.ts?a=1\n#EXTINF:1,\nhttp://other.example/good.ts")
	n := &internet{handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, pass, _ := r.BasicAuth()
		if strings.HasPrefix(r.Host, "other.example") {
			if user != "" {
				leaked.Store(true)
			}
		} else if user != "me" || pass != "s3cret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	})}
	opt := n.options(t)
	if err := readAll(t, "http://me:s3cret@media.example/list.m3u8?token=s3cret", opt); err != nil {
		t.Error(err)
	}
	if leaked.Load() {
		t.Error("another server was given the password")
	}
	for _, input := range []string{
		"http://me:s3crett@media.example/list.m3u8?token=s3cret",
		"http://me:s3cret@media.example/missing.mp4?api_key=s3cret",
		"http://me:s3cret@nowhere.example/a.mp4?sig=s3cret",
		"http://me:s3cret@%zz/",
	} {
		err := readAll(t, input, opt)
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v", err)
		}
		if s := ingest.Redact(input); strings.Contains(s, "s3cret") {
			t.Errorf("%s", s)
		}
	}
}

// A pipe in the folder of a playlist, which nobody writes to, is waited for no
// longer than anything else.
func TestPlaylistNamesPipe(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.ts"), 0o600); err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "list.m3u8")
	write(t, list, []byte("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\npipe.ts\n#EXT-X-ENDLIST\n"))
	opt := DefaultOptions()
	opt.ReadTimeout = 100 * time.Millisecond
	done := make(chan error, 1)
	go func() {
		s, err := Open(t.Context(), list, opt)
		if err == nil {
			_ = s.Close()
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil {
			t.Error("opened")
		}
		t.Log(err)
	case <-time.After(10 * time.Second):
		t.Fatal("still waiting")
	}
}

// A server that never ends a playlist gets neither time nor memory for it, be it
// the input or a playlist that the input names.
func TestEndlessPlaylist(t *testing.T) {
	lines := []byte(strings.Repeat("#EXTINF:1,\n"+strings.Repeat("s", 1000)+".ts\n", 64))
	n := internet{handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/main.m3u8" {
			fmt.Fprint(w, "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nendless.m3u8\n")
			return
		}
		fmt.Fprint(w, "#EXTM3U\n#EXT-X-TARGETDURATION:1\n")
		for {
			if _, err := w.Write(lines); err != nil {
				return
			}
		}
	})}
	opt := n.options(t)
	for _, name := range []string{"endless.m3u8", "main.m3u8"} {
		s, err := Open(t.Context(), "http://media.example/"+name, opt)
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "playlist of more than 16 MiB") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSubtitlesAlone(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.vtt")
	write(t, name, []byte("WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n"))
	if _, err := Open(t.Context(), name, DefaultOptions()); !errors.Is(err, ingest.ErrNoMedia) {
		t.Error(err)
	}
}
