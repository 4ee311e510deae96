package models

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seehear/seehear/ingest"
)

// Note [Pulling]
//
// A file is downloaded under its name with ".part" and gets its name only when
// its length and its sha256 are right; the manifest comes last, once the graphs
// were found to fit it. So whatever ends a pull, the folder holds no file that is
// not what it is called, and no pack that is not whole.
//
// Beside a part lies ".part.state": of which address it is, and the validator
// (ETag or Last-Modified) that the server gave with its first byte. The next try,
// in this process or a later one, asks for the rest with Range and If-Range, so
// that a file which changed in between is sent from its start. A server that
// ignores Range does the same; one that breaks the rules (another ETag with the
// rest, the wrong place) is asked once more from the start. If the checksum of a
// resumed file is wrong after all, the file is fetched whole before it is
// refused.
//
// Pulls of one folder wait for each other (flock), in one process or several: the
// second finds the files there.
//
// Nothing that is printed holds an address with credentials, and no redirect
// leads from https to http.

// Puller downloads published models. The zero value is ready; the fields are for
// those who want other bounds. A Puller may be used by several goroutines at once
// if Progress may.
type Puller struct {
	// Client is used for its Transport; nil is a client of the pull's own, with the
	// proxies of the environment.
	Client *http.Client
	// Stall ends a try in which less than a kilobyte came for that long; 30 s.
	Stall time.Duration
	// Tries is how many tries in a row may bring nothing new; 5.
	Tries int
	// Pause is how long the second try waits, the third twice as long, and so on
	// up to a minute; 1 s.
	Pause time.Duration
	// Most bounds a file whose size is not known; 8 GiB.
	Most int64
	// Progress is told how much of a file is there; total is 0 if nobody knows. It
	// is called from the goroutine of the pull, often.
	Progress func(file string, done, total int64)
	// Log is told, in a line, what goes on besides: a try that failed, a wait.
	Log func(line string)
}

// Pulled is what lies in the folder after a pull.
type Pulled struct {
	Dir   string
	Files []PulledFile
	// Pack says that there is a manifest: the folder is a pack.
	Pack bool
}

// PulledFile is one file with the checksum that it has.
type PulledFile struct {
	Path   string
	Size   int64
	SHA256 string
	// Checked says what the checksum was compared with: "sha256", "sha256_partial"
	// or "vouched", what the person gave.
	Checked string
	Kept    bool // it was there before
}

// ErrUnvouched is wrapped by the error of a file that came whole but has no known
// checksum to compare with. The error names the one it has; a pull that is given
// that does not download again.
var ErrUnvouched = errors.New("no checksum to compare with")

// Pull brings an entry of the catalogue into dir, which becomes a pack if the
// entry has a contract. vouched are checksums that the person gave: a file whose
// checksum the catalogue does not know must have one of them.
//
// It blocks until all is there or the context ends. What came until an error is
// kept, and the next pull goes on from there.
func (p *Puller) Pull(ctx context.Context, e *Entry, dir string, vouched ...string) (*Pulled, error) {
	out, err := p.locked(ctx, dir, func(root *os.Root) (*Pulled, error) {
		if err := ownPack(root, e); err != nil {
			return nil, err
		}
		out, err := p.files(ctx, root, e.Files, vouched)
		if err != nil || !e.Used() {
			return out, err
		}
		sums := map[string]string{}
		for _, f := range out.Files {
			sums[f.Path] = f.SHA256
		}
		if err := e.install(root, dir, sums); err != nil {
			return nil, err
		}
		out.Pack = true
		return out, nil
	})
	return out, redacted(fmt.Sprintf("models: pull %s", e.Name), err)
}

// PullURL downloads one file of any address into dir. Since nothing is known of
// it, its checksum must be among those vouched for.
func (p *Puller) PullURL(ctx context.Context, address, dir string, vouched ...string) (*Pulled, error) {
	name, err := FileOf(address)
	if err != nil {
		return nil, err
	}
	out, err := p.locked(ctx, dir, func(root *os.Root) (*Pulled, error) {
		return p.files(ctx, root, []Source{{Path: name, URL: address}}, vouched)
	})
	return out, redacted("models: pull "+ingest.Redact(address), err)
}

// FileOf returns the file name of an address of http or https.
func FileOf(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		return "", fmt.Errorf("models: pull: %q is not an address of http or https", ingest.Redact(address))
	}
	name := path.Base(u.Path)
	if !nameForm.MatchString(name) || name == Manifest || strings.HasSuffix(name, partSuffix) || strings.HasSuffix(name, stateSuffix) {
		return "", fmt.Errorf("models: pull: %s does not end in the name of a model file", ingest.Redact(address))
	}
	return name, nil
}

// locked runs do while no other pull touches the folder.
func (p *Puller) locked(ctx context.Context, dir string, do func(*os.Root) (*Pulled, error)) (*Pulled, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	unlock, err := lock(ctx, filepath.Join(dir, lockName), func() { p.log("another pull of " + dir + " is running: waiting for it") })
	if err != nil {
		return nil, err
	}
	defer unlock()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	out, err := do(root)
	if err != nil {
		return nil, err
	}
	if out.Dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	return out, nil
}

// ownPack refuses a folder that holds another pack.
func ownPack(root *os.Root, e *Entry) error {
	data, err := readAll(root, Manifest, maxManifest)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", Manifest, err)
	}
	if p, err := parse(data); err == nil && p.Name != e.Name {
		return fmt.Errorf("%s holds the pack %s: name another folder", root.Name(), p.Name)
	}
	return nil
}

func (p *Puller) files(ctx context.Context, root *os.Root, sources []Source, vouched []string) (*Pulled, error) {
	for _, v := range vouched {
		if !hashForm.MatchString(v) {
			return nil, fmt.Errorf("%q is not a sha256 of 64 lower-case hexadecimal digits", v)
		}
	}
	if len(vouched) > 0 && !slices.ContainsFunc(sources, func(s Source) bool { return s.SHA256 == "" && s.Partial == "" }) {
		return nil, errors.New("the checksum of every file is known: there is none to vouch for")
	}
	client, done := p.client()
	defer done()
	out := &Pulled{}
	for _, s := range sources {
		d := &download{p: p, client: client, root: root, src: s, vouched: vouched}
		f, err := d.run(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Path, err)
		}
		out.Files = append(out.Files, f)
	}
	return out, nil
}

// install writes the manifest after having checked all that it says.
func (e *Entry) install(root *os.Root, dir string, sums map[string]string) error {
	data, err := e.manifest(sums)
	if err != nil {
		return err
	}
	pack, err := parse(data)
	if err != nil {
		return fmt.Errorf("%s: %w", Manifest, err)
	}
	pack.Dir = dir
	for i := range pack.Models {
		if err = pack.open(root, &pack.Models[i]); err != nil {
			return err
		}
	}
	f, err := root.Create(Manifest + partSuffix)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = root.Rename(Manifest+partSuffix, Manifest)
	}
	return err
}

// client returns a client that follows redirects as Note [Pulling] says, and what
// frees it.
func (p *Puller) client() (*http.Client, func()) {
	c, done := http.Client{}, func() {}
	if p.Client != nil {
		c = *p.Client
	} else {
		t := http.DefaultTransport.(*http.Transport).Clone()
		c.Transport, done = t, t.CloseIdleConnections
	}
	c.Timeout = 0 // a stall is what ends a try
	c.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if len(via) >= 10 {
			return errRedirects
		}
		if req.URL.Scheme != "https" && (req.URL.Scheme != "http" || via[0].URL.Scheme == "https") {
			return fmt.Errorf("%w from %s to %s://%s", errScheme, via[0].URL.Scheme, req.URL.Scheme, req.URL.Host)
		}
		// A signed address is nobody else's business.
		req.Header.Del("Referer")
		return nil
	}
	return &c, done
}

func (p *Puller) stall() time.Duration { return orDefault(p.Stall, 30*time.Second) }
func (p *Puller) tries() int           { return orDefault(p.Tries, 5) }
func (p *Puller) most() int64          { return orDefault(p.Most, 8<<30) }

func (p *Puller) pause(failed int) time.Duration {
	return min(orDefault(p.Pause, time.Second)<<min(failed-1, 10), time.Minute)
}

func (p *Puller) progress(file string, done, total int64) {
	if p.Progress != nil {
		p.Progress(file, done, max(total, 0))
	}
}

func (p *Puller) log(line string) {
	if p.Log != nil {
		p.Log(ingest.Redact(line))
	}
}

func orDefault[T int | int64 | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// redactedError is an error whose text holds no credentials.
type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }
func (e *redactedError) Unwrap() error { return e.err }

func redacted(what string, err error) error {
	if err == nil {
		return nil
	}
	text := strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }), " ")
	return &redactedError{what + ": " + ingest.Redact(text), err}
}
