package models

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	partSuffix  = ".part"
	stateSuffix = ".part.state"
	lockName    = ".pull.lock"

	// fresh is how much new a try must bring to count as one that helped, and
	// trickle how much must come within a stall.
	fresh   = 64 << 10
	trickle = 1 << 10
)

var (
	errRedirects = errors.New("more than 10 redirects")
	errScheme    = errors.New("refusing a redirect")
	errStalled   = errors.New("the server sent nothing for too long")
	errAgain     = errors.New("the server does not go on where the file broke off")
)

// transient is an error after which another try may help.
type transient struct{ error }

func (t transient) Unwrap() error { return t.error }

// state is what is known of a part; see Note [Pulling].
type state struct {
	Address   string `json:"address"` // sha256 of the address, which may hold credentials
	Validator string `json:"validator,omitempty"`
	Total     int64  `json:"total,omitempty"`
	Whole     bool   `json:"whole,omitempty"`
}

// download fetches one file. It is used once, by one goroutine.
type download struct {
	p       *Puller
	client  *http.Client
	root    *os.Root
	src     Source
	vouched []string

	part    *os.File
	state   state
	have    int64 // bytes of the part
	best    int64 // the most that it ever had
	resumed bool  // bytes of an earlier response are in it
}

// run brings the file under its name.
func (d *download) run(ctx context.Context) (PulledFile, error) {
	if f, ok := d.there(); ok {
		d.p.progress(d.src.Path, f.Size, f.Size)
		return f, nil
	}
	if err := d.openPart(); err != nil {
		return PulledFile{}, cause(err)
	}
	defer d.part.Close()
	for {
		if err := d.fetch(ctx); err != nil {
			return PulledFile{}, err
		}
		f, err := d.check()
		if err == nil {
			return f, d.commit()
		}
		if errors.Is(err, ErrUnvouched) {
			d.state.Whole = true
			return PulledFile{}, errors.Join(err, d.saveState())
		}
		if !d.resumed {
			d.discard()
			return PulledFile{}, err
		}
		d.p.log(fmt.Sprintf("%s: resumed, and its checksum is wrong: fetching it from the start", d.src.Path))
		if err := d.restart(); err != nil {
			return PulledFile{}, err
		}
	}
}

// there finds the file under its name. One that is not what it should be is
// fetched again.
func (d *download) there() (PulledFile, bool) {
	sum, n, err := hashFile(d.root, d.src.Path)
	if err != nil || d.src.sizeFits(n) != nil {
		return PulledFile{}, false
	}
	how, ok := d.vouch(sum)
	return PulledFile{Path: d.src.Path, Size: n, SHA256: sum, Checked: how, Kept: true}, ok
}

// vouch says by what a checksum is right, if it is.
func (d *download) vouch(sum string) (how string, ok bool) {
	switch {
	case d.src.SHA256 != "":
		return "sha256", d.src.sumFits(sum)
	case d.src.Partial != "":
		return "sha256_partial", d.src.sumFits(sum)
	}
	return "vouched", slices.Contains(d.vouched, sum)
}

// openPart opens what an earlier pull left, if its state can be trusted.
func (d *download) openPart() error {
	if dir := path.Dir(d.src.Path); dir != "." {
		if err := d.root.MkdirAll(local(dir), 0o777); err != nil {
			return err
		}
	}
	f, err := d.root.OpenFile(local(d.src.Path+partSuffix), os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	d.part = f
	st, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if !st.Mode().IsRegular() {
		return errors.Join(fmt.Errorf("%s%s is not a regular file", d.src.Path, partSuffix), f.Close())
	}
	data, err := readAll(d.root, d.src.Path+stateSuffix, 64<<10)
	if err != nil || json.Unmarshal(data, &d.state) != nil || d.state.Address != d.address() || (d.state.Validator == "" && !d.state.Whole) {
		d.state = state{}
	}
	if d.state == (state{}) || st.Size() > d.limit() {
		if err := d.restart(); err != nil {
			return errors.Join(err, f.Close())
		}
		return nil
	}
	d.have, d.best, d.resumed = st.Size(), st.Size(), st.Size() > 0
	if d.state.Whole && d.state.Total != d.have {
		d.state.Whole = false
	}
	return nil
}

func (d *download) address() string {
	sum := sha256.Sum256([]byte(d.src.URL))
	return hex.EncodeToString(sum[:])
}

// limit is how large the file can be.
func (d *download) limit() int64 {
	switch {
	case d.src.Size > 0:
		return d.src.Size
	case d.src.About > 0:
		return d.src.About + d.src.About/100
	}
	return d.p.most()
}

// restart empties the part and forgets where it is from.
func (d *download) restart() error {
	d.state, d.have, d.resumed = state{}, 0, false
	if err := d.part.Truncate(0); err != nil {
		return cause(err)
	}
	if _, err := d.part.Seek(0, io.SeekStart); err != nil {
		return cause(err)
	}
	if err := d.root.Remove(local(d.src.Path + stateSuffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return cause(err)
	}
	return nil
}

func (d *download) discard() {
	_ = d.root.Remove(local(d.src.Path + partSuffix))
	_ = d.root.Remove(local(d.src.Path + stateSuffix))
}

func (d *download) saveState() error {
	data, err := json.Marshal(d.state)
	if err != nil {
		return err
	}
	return d.root.WriteFile(local(d.src.Path+stateSuffix), data, 0o666)
}

// fetch tries until the part is whole.
func (d *download) fetch(ctx context.Context) error {
	failed := 0
	for !d.whole() {
		err := d.try(ctx)
		if err == nil {
			return nil
		}
		var again transient
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !errors.As(err, &again) {
			return err
		}
		if failed++; d.have >= d.best+fresh {
			failed = 1
		}
		d.best = max(d.best, d.have)
		if failed >= d.p.tries() {
			return fmt.Errorf("%w (%d tries; the same command goes on from here)", err, failed)
		}
		wait := d.p.pause(failed)
		d.p.log(fmt.Sprintf("%s: %v; trying again in %v", d.src.Path, err, wait))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
	return nil
}

// whole says that there is nothing left to fetch.
func (d *download) whole() bool {
	return d.state.Whole || (d.have > 0 && (d.have == d.src.Size || (d.src.Size == 0 && d.have == d.state.Total)))
}

// try makes one request and takes what it gives; nil means that the part is
// whole.
func (d *download) try(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(d.p.stall(), func() { cancel(errStalled) })
	defer stalled.Stop()

	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.src.URL, nil)
	if err != nil {
		return errors.New("its address is damaged")
	}
	req.Header.Set("User-Agent", "seehear")
	req.Header.Set("Accept-Encoding", "identity") // the bytes that were hashed
	if d.have > 0 && d.state.Validator == "" {
		// Nothing would tell whether the rest is of the same file.
		if err = d.restart(); err != nil {
			return err
		}
	}
	if d.have > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.have))
		req.Header.Set("If-Range", d.state.Validator)
	}
	res, err := d.client.Do(req)
	if err != nil {
		return d.broken(ctx, err)
	}
	defer res.Body.Close()
	if err := d.accept(res); err != nil {
		return err
	}
	return d.receive(ctx, res.Body, stalled)
}

// accept looks at the head of a response and prepares the part for its body.
func (d *download) accept(res *http.Response) error {
	total := res.ContentLength
	switch s := res.StatusCode; {
	case s == http.StatusOK:
		if d.have > 0 {
			if err := d.restart(); err != nil {
				return err
			}
		}
	case s == http.StatusPartialContent && d.have > 0:
		var err error
		if total, err = d.continues(res); err != nil {
			if rerr := d.restart(); rerr != nil {
				return rerr
			}
			return transient{err}
		}
		d.resumed = true
	case s == http.StatusRequestedRangeNotSatisfiable && d.have > 0:
		if err := d.restart(); err != nil {
			return err
		}
		return transient{errAgain}
	case s == http.StatusRequestTimeout, s == http.StatusTooEarly, s == http.StatusTooManyRequests, s >= 500:
		return transient{fmt.Errorf("the server answers %s", res.Status)}
	default:
		return fmt.Errorf("the server answers %s", res.Status)
	}
	if enc := res.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return fmt.Errorf("the server sends it encoded as %q", enc)
	}
	if total >= 0 {
		if err := d.src.sizeFits(total); err != nil {
			return fmt.Errorf("the server says %w", err)
		}
		if total > d.limit() {
			return fmt.Errorf("the server says that it has %d bytes, and at most %d are taken", total, d.limit())
		}
	}
	if d.have == 0 {
		d.state = state{Address: d.address(), Validator: validator(res.Header), Total: max(total, 0)}
		if err := d.saveState(); err != nil {
			return cause(err)
		}
	}
	return nil
}

// continues checks that a partial response is the rest of the same file.
func (d *download) continues(res *http.Response) (total int64, err error) {
	span, ok := strings.CutPrefix(res.Header.Get("Content-Range"), "bytes ")
	at, rest, _ := strings.Cut(span, "-")
	last, all, slash := strings.Cut(rest, "/")
	first, err1 := strconv.ParseInt(at, 10, 64)
	end, err2 := strconv.ParseInt(last, 10, 64)
	if !ok || !slash || err1 != nil || err2 != nil || first != d.have || end < first {
		return 0, errAgain
	}
	if total, err = strconv.ParseInt(all, 10, 64); err != nil {
		total = -1 // "*": it does not know
	}
	if total >= 0 && (total <= end || (d.state.Total > 0 && total != d.state.Total)) {
		return 0, errAgain
	}
	if v := validator(res.Header); v != "" && v != d.state.Validator {
		return 0, errors.New("the file on the server has changed in between")
	}
	return total, nil
}

// validator is what If-Range takes: a strong ETag, or a date.
func validator(h http.Header) string {
	if tag := h.Get("ETag"); tag != "" {
		if strings.HasPrefix(tag, `"`) {
			return tag
		}
		return ""
	}
	return h.Get("Last-Modified")
}

// receive appends the body to the part.
func (d *download) receive(ctx context.Context, body io.Reader, stalled *time.Timer) error {
	total := orDefault(d.src.Size, d.state.Total)
	limit := d.limit()
	buf := make([]byte, 256<<10)
	d.p.progress(d.src.Path, d.have, total)
	for since := 0; ; {
		n, err := body.Read(buf)
		if d.have+int64(n) > limit {
			d.discard()
			return fmt.Errorf("the server sends more than %d bytes", limit)
		}
		if n > 0 {
			if _, werr := d.part.WriteAt(buf[:n], d.have); werr != nil {
				return cause(werr)
			}
			d.have += int64(n)
			d.p.progress(d.src.Path, d.have, total)
			if since += n; since >= trickle {
				stalled.Reset(d.p.stall())
				since = 0
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if total > 0 && d.have < total {
				return transient{fmt.Errorf("the server ended after %d of %d bytes", d.have, total)}
			}
			if d.have == 0 {
				return errors.New("the server sends an empty file")
			}
			d.state.Total = d.have
			return nil
		case err != nil:
			return d.broken(ctx, err)
		}
	}
}

// broken names what ended a request.
func (d *download) broken(ctx context.Context, err error) error {
	if c := context.Cause(ctx); errors.Is(c, errStalled) {
		return transient{fmt.Errorf("%w (%v)", errStalled, d.p.stall())}
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err // it repeats the address
	}
	if errors.Is(err, errRedirects) || errors.Is(err, errScheme) {
		return err
	}
	return transient{err}
}

// check compares length and checksum of a part that is whole.
func (d *download) check() (PulledFile, error) {
	if err := d.part.Sync(); err != nil {
		return PulledFile{}, cause(err)
	}
	sum, n, err := hashFile(d.root, d.src.Path+partSuffix)
	if err != nil {
		return PulledFile{}, err
	}
	if err := d.src.sizeFits(n); err != nil {
		return PulledFile{}, err
	}
	how, ok := d.vouch(sum)
	switch {
	case ok:
		return PulledFile{Path: d.src.Path, Size: n, SHA256: sum, Checked: how}, nil
	case how != "vouched":
		return PulledFile{}, fmt.Errorf("it has sha256 %s, and the catalogue says %s%s: not installed", sum, d.src.SHA256, d.src.Partial)
	case len(d.vouched) > 0:
		return PulledFile{}, fmt.Errorf("it has sha256 %s, which is not what you gave: not installed", sum)
	}
	return PulledFile{}, fmt.Errorf("%w: it has sha256 %s; if that is what its publisher says, pull again with --sha256 %s", ErrUnvouched, sum, sum)
}

func (d *download) commit() error {
	if err := d.root.Rename(local(d.src.Path+partSuffix), local(d.src.Path)); err != nil {
		return cause(err)
	}
	_ = d.root.Remove(local(d.src.Path + stateSuffix))
	return nil
}
