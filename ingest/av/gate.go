package av

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"

	"github.com/seehear/seehear/ingest"
)

/*
Note [The gate]

What an input may open besides itself depends on its kind.

  - A remote input: http and https, at public addresses only. The one exception
    is the very address and port that the input itself was reached at, so that
    a camera or a file server at home works although its address is private. The
    check is made on the address that is being connected to, after resolving, for
    each connection: the input, its redirects, the entries of a playlist and
    their redirects alike. A name that points to a public address first and to a
    private one later is refused. Proxies of the environment are not used,
    because they would resolve names where nobody looks.
  - A local playlist: files in its own folder and below, symbolic links not
    leading out (os.Root). http and https at public addresses with
    Options.Remote.
  - Standard input and a Reader: nothing.
  - All: data: URLs, which hold their own bytes, and AES-128 over any of these.

An input given by the user is a file, an http, https or file URL, or "-". FFmpeg's
other protocols (concat:, subfile:, pipe:, crypto:, rtmp: and so on) are refused
by name. Whatever the gate refuses ends the source with an error that says so; it
is not skipped.
*/

type kind uint8

const (
	local kind = iota
	remote
	piped
)

// refusal is an attempt to open what the gate does not let through.
type refusal struct{ what, why string }

func (r *refusal) Error() string {
	return fmt.Sprintf("refused to open %s: %s", ingest.Redact(r.what), r.why)
}

// stream is an opened resource. Read and Seek end with the context that it was
// opened with.
type stream interface {
	io.ReadSeekCloser
	Size() int64 // -1 if unknown
	Seekable() bool
}

// resource is a stream with what FFmpeg wants to know about it.
type resource struct {
	stream   stream
	url      string // FFmpeg's name for it
	location string // where it was found in the end
	mime     string
	root     bool
	instant  bool  // reading never waits
	count    int64 // bytes read
	head     []byte
	shut     bool
}

// A playlist costs many times its bytes in memory, and a server can go on with
// one for ever: maxPlaylist bounds each, and all together while an input is being
// opened.
const (
	maxPlaylist  = 16 << 20
	playlistMark = "#EXTM3U" // without it at the very start, libavformat takes nothing for a playlist
)

// took counts the bytes b, which were read, and reports whether the resource is a
// playlist.
func (r *resource) took(b []byte) bool {
	if room := len(playlistMark) - len(r.head); room > 0 {
		r.head = append(r.head, b[:min(room, len(b))]...)
	}
	r.count += int64(len(b))
	return string(r.head) == playlistMark
}

func (r *resource) close() error {
	if r.shut {
		return nil
	}
	r.shut = true
	return r.stream.Close()
}

// gate opens an input and all that it names. It is used by one goroutine, but for
// the dialer.
type gate struct {
	kind  kind
	opt   Options
	input string
	path  string   // local
	url   *url.URL // remote
	http  *http.Client

	folder *os.Root // of a local playlist, opened when first needed
	first  *resource

	mu   sync.Mutex
	home netip.AddrPort // what the input was reached at
}

var (
	scheme = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*)(://|:|,)`)
	// FFmpeg's protocols that take a name without "//".
	bare = map[string]bool{
		"async": true, "bluray": true, "cache": true, "concat": true, "concatf": true, "crypto": true,
		"data": true, "fd": true, "file": true, "gopher": true, "hls": true, "ipfs": true, "ipns": true, "md5": true,
		"pipe": true, "rtp": true, "subfile": true, "tee": true, "unix": true,
	}
)

func newGate(input string, opt Options) (*gate, error) {
	g := &gate{opt: opt, input: input, path: input}
	m := scheme.FindStringSubmatch(input)
	switch {
	case opt.Reader != nil || input == "-":
		g.kind = piped
	case input == "":
		return nil, errors.New("no name")
	case m == nil:
	case m[2] == "://":
		u, err := url.Parse(input)
		if err != nil {
			return nil, errors.New("not a URL that can be read")
		}
		switch u.Scheme = strings.ToLower(u.Scheme); u.Scheme {
		case "http", "https":
			if u.Host == "" {
				return nil, errors.New("the URL has no host")
			}
			g.kind, g.url = remote, u
		case "file":
			if u.Host != "" && u.Host != "localhost" {
				return nil, errors.New("a file URL must not name a host")
			}
			g.path = u.Path
		default:
			return nil, fmt.Errorf("protocol %s is not supported: it must be a file, http or https", u.Scheme)
		}
	case bare[strings.ToLower(m[1])]:
		if _, err := os.Lstat(input); err == nil {
			break // a file may be called so
		}
		return nil, fmt.Errorf("protocol %s: is not allowed: it must be a file, http or https", strings.ToLower(m[1]))
	}
	if g.network() {
		g.http = g.client()
	}
	return g, nil
}

// network reports whether anything may be read from the network.
func (g *gate) network() bool { return g.kind == remote || g.kind == local && g.opt.Remote }

// protocols is FFmpeg's whitelist, which stands behind the gate.
func (g *gate) protocols() string {
	switch {
	case g.kind == remote:
		return remoteProtocols
	case g.kind == local && g.opt.Remote:
		return localProtocols + "," + remoteProtocols
	case g.kind == local:
		return localProtocols
	}
	return "data"
}

// openRoot opens the input itself. The second call returns what the first opened.
func (g *gate) openRoot(ctx context.Context) (*resource, error) {
	if g.first != nil {
		return g.first, nil
	}
	r, err := g.openFirst(ctx)
	if err != nil {
		return nil, err
	}
	g.first = r
	return r, nil
}

func (g *gate) openFirst(ctx context.Context) (*resource, error) {
	switch {
	case g.opt.Reader != nil:
		st := newReaderStream(ctx, g.opt.Reader)
		name := "pipe:" + filepath.Base(g.input)
		return &resource{stream: st, url: name, location: name}, nil
	case g.kind == piped:
		st, instant, err := openStdin(ctx, g.opt.stdin)
		if err != nil {
			return nil, err
		}
		return &resource{stream: st, url: "pipe:", location: "pipe:", instant: instant}, nil
	case g.kind == remote:
		return g.get(ctx, g.url, 0, -1)
	}
	st, instant, err := openPath(ctx, g.path)
	if err != nil {
		return nil, err
	}
	name := "file:" + g.path
	return &resource{stream: st, url: name, location: name, instant: instant}, nil
}

// openNested opens what the input names, from offset, up to end if it is not
// negative. With a key the bytes are decrypted.
func (g *gate) openNested(ctx context.Context, name string, offset, end int64, key, iv string) (*resource, error) {
	plain := name
	if key != "" {
		plain = strings.TrimPrefix(strings.TrimPrefix(name, "crypto+"), "crypto:")
	}
	r, err := g.openEntry(ctx, plain, offset, end)
	if err != nil {
		return nil, fmt.Errorf("entry %s: %w", ingest.Redact(plain), err)
	}
	if key != "" {
		st, err := decrypt(r.stream, key, iv)
		if err != nil {
			return nil, errors.Join(err, r.close())
		}
		r.stream = st
	}
	r.location = name
	return r, nil
}

func (g *gate) openEntry(ctx context.Context, name string, offset, end int64) (*resource, error) {
	m := scheme.FindStringSubmatch(name)
	switch {
	case m != nil && m[1] == "data" && m[2] == ":":
		b, err := dataURL(name)
		if err != nil {
			return nil, err
		}
		return &resource{stream: newBytesStream(b)}, nil
	case m != nil && m[2] == "://" && (strings.EqualFold(m[1], "http") || strings.EqualFold(m[1], "https")):
		if !g.network() {
			return nil, &refusal{name, "an input of this kind may not open the network"}
		}
		u, err := url.Parse(name)
		if err != nil {
			return nil, errors.New("not a URL that can be read")
		}
		return g.get(ctx, u, offset, end)
	case g.kind != local:
		return nil, &refusal{name, "only http and https may be named by an input of this kind"}
	case m != nil && !strings.EqualFold(m[1], "file"):
		return nil, &refusal{name, "only files may be named by this input"}
	}
	path := strings.TrimPrefix(name, "file:")
	if rest, ok := strings.CutPrefix(path, "//"); ok {
		if rest = strings.TrimPrefix(rest, "localhost"); !strings.HasPrefix(rest, "/") {
			return nil, &refusal{name, "a file URL must not name a host"}
		}
		path = rest
	}
	return g.openBelow(ctx, path, name)
}

// openBelow opens a file in the folder of a local playlist or below it.
func (g *gate) openBelow(ctx context.Context, path, name string) (*resource, error) {
	folder := filepath.Dir(g.path)
	if g.folder == nil {
		f, err := os.OpenRoot(folder)
		if err != nil {
			return nil, plainError(err)
		}
		g.folder = f
	}
	rel, err := relative(folder, path)
	if err != nil || !filepath.IsLocal(rel) {
		return nil, &refusal{name, "it lies outside the folder of the playlist"}
	}
	// Without O_NONBLOCK, opening a pipe would wait for its writer.
	f, err := g.folder.OpenFile(rel, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return nil, plainError(err)
	case err != nil:
		return nil, &refusal{name, "it lies outside the folder of the playlist"}
	}
	st, instant, err := fileOrPipe(ctx, f)
	if err != nil {
		return nil, err
	}
	return &resource{stream: st, instant: instant}, nil
}

// relative is filepath.Rel for names of which one may be absolute.
func relative(folder, path string) (string, error) {
	if filepath.IsAbs(folder) != filepath.IsAbs(path) {
		var err error
		if folder, err = filepath.Abs(folder); err != nil {
			return "", err
		}
		if path, err = filepath.Abs(path); err != nil {
			return "", err
		}
	}
	return filepath.Rel(folder, path)
}

func (g *gate) close() {
	if g.http != nil {
		g.http.CloseIdleConnections()
	}
	if g.folder != nil {
		_ = g.folder.Close()
	}
}

// dial connects to address if the gate lets it through.
func (g *gate) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	number, err := net.DefaultResolver.LookupPort(ctx, network, port)
	if err != nil {
		return nil, err
	}
	addrs, err := g.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	connect := g.opt.dial
	if connect == nil {
		connect = new(net.Dialer).DialContext
	}
	var failed error
	for _, a := range addrs {
		to := netip.AddrPortFrom(a.Unmap(), uint16(number))
		if !g.allowed(host, port, to) {
			failed = &refusal{"a connection to " + address, fmt.Sprintf("%s is not a public address", to.Addr())}
			continue
		}
		c, err := connect(ctx, network, to.String())
		if err != nil {
			failed = err
			continue
		}
		g.mu.Lock()
		if !g.home.IsValid() && g.isOrigin(host, port) {
			g.home = to
		}
		g.mu.Unlock()
		return c, nil
	}
	if failed == nil {
		failed = fmt.Errorf("%s has no address", host)
	}
	return nil, failed
}

func (g *gate) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	if g.opt.resolve != nil {
		return g.opt.resolve(ctx, host)
	}
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// allowed reports whether to may be connected to.
func (g *gate) allowed(host, port string, to netip.AddrPort) bool {
	if public(to.Addr()) {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.home.IsValid() {
		return g.isOrigin(host, port)
	}
	return to == g.home
}

// isOrigin reports whether host and port are those of the input itself.
func (g *gate) isOrigin(host, port string) bool {
	if g.url == nil || !strings.EqualFold(host, g.url.Hostname()) {
		return false
	}
	own := g.url.Port()
	if own == "" {
		own = map[string]string{"http": "80", "https": "443"}[g.url.Scheme]
	}
	return port == own
}

// notPublic are the ranges that do not lie in the public internet and that
// netip.Addr has no method for (RFC 6890 and its followers).
var notPublic = func() (out []netip.Prefix) {
	for _, s := range strings.Fields(`
		0.0.0.0/8 100.64.0.0/10 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 198.18.0.0/15
		198.51.100.0/24 203.0.113.0/24 240.0.0.0/4
		100::/64 2001::/23 2001:db8::/32 3fff::/20 5f00::/16 fec0::/10
	`) {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}()

// embedded are the ranges of IPv6 that lead to an IPv4 address, and where in the
// bytes that address lies.
var embedded = []struct {
	in netip.Prefix
	at int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12},
	{netip.MustParsePrefix("2002::/16"), 2},
	{netip.MustParsePrefix("::/96"), 12},
}

// public reports whether a is an address of the public internet.
func public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || a.IsUnspecified() || a.IsLoopback() || a.IsPrivate() || a.IsMulticast() ||
		a.IsLinkLocalUnicast() || a.IsInterfaceLocalMulticast() {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(a) {
			return false
		}
	}
	for _, e := range embedded {
		if e.in.Contains(a) {
			b := a.As16()
			return public(netip.AddrFrom4([4]byte(b[e.at : e.at+4])))
		}
	}
	return true
}

// dataURL returns the bytes of a data: URL.
func dataURL(s string) ([]byte, error) {
	head, body, ok := strings.Cut(strings.TrimPrefix(s, "data:"), ",")
	if !ok {
		return nil, errors.New("damaged data URL")
	}
	plain, err := url.PathUnescape(body)
	if err != nil {
		return nil, errors.New("damaged data URL")
	}
	if !strings.HasSuffix(head, ";base64") {
		return []byte(plain), nil
	}
	b, err := base64.StdEncoding.DecodeString(plain)
	if err != nil {
		return nil, errors.New("damaged data URL")
	}
	return b, nil
}

// decrypt returns the plain bytes of a segment under AES-128-CBC with PKCS #7
// padding, as HLS has it. FFmpeg gives key and vector in hexadecimal.
func decrypt(st stream, key, iv string) (stream, error) {
	k, err1 := hex.DecodeString(key)
	v, err2 := hex.DecodeString(iv)
	if err1 != nil || err2 != nil || len(k) != aes.BlockSize || len(v) != aes.BlockSize {
		return nil, errors.New("damaged key or vector")
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return &cbcStream{stream: st, mode: cipher.NewCBCDecrypter(block, v)}, nil
}

// cbcStream decrypts as it reads. The last block is held back until the end is
// known, because it holds the padding.
type cbcStream struct {
	stream
	mode  cipher.BlockMode
	in    []byte // not yet decrypted
	plain []byte // decrypted, not yet read
	err   error
}

func (s *cbcStream) Size() int64                    { return -1 }
func (s *cbcStream) Seekable() bool                 { return false }
func (s *cbcStream) Seek(int64, int) (int64, error) { return 0, errSeek }

func (s *cbcStream) Read(p []byte) (int, error) {
	for len(s.plain) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		buf := make([]byte, 32<<10)
		n, err := s.stream.Read(buf)
		s.in = append(s.in, buf[:n]...)
		s.err = err
		whole := len(s.in) / aes.BlockSize * aes.BlockSize
		if err == nil && whole == len(s.in) {
			whole -= aes.BlockSize
		}
		if whole > 0 {
			s.plain = bytes.Clone(s.in[:whole])
			s.mode.CryptBlocks(s.plain, s.plain)
			s.in = append(s.in[:0], s.in[whole:]...)
		}
		if err == io.EOF && len(s.plain) > 0 {
			if pad := int(s.plain[len(s.plain)-1]); pad >= 1 && pad <= aes.BlockSize && pad <= len(s.plain) {
				s.plain = s.plain[:len(s.plain)-pad]
			}
		}
	}
	n := copy(p, s.plain)
	s.plain = s.plain[n:]
	return n, nil
}
