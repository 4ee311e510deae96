package ring

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seehear/seehear/docs"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/mediatest"
)

func open(t testing.TB, dir string, opt Options) *Store {
	t.Helper()
	s, err := Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func ringOf(t testing.TB, s *Store, name string) *Ring {
	t.Helper()
	r, err := s.Source(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// files lists what is below dir.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != lockName {
			rel, _ := filepath.Rel(dir, p)
			list = append(list, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// feed gives the ring pictures from one time to another, a keyframe each second,
// and waits until they are written.
func feed(t testing.TB, r *Ring, from, to time.Duration) {
	t.Helper()
	r.Streams(testStreams())
	for at := from; at < to; at += 40 * time.Millisecond {
		p := picture(at, 0, at%time.Second == 0, int(at/(40*time.Millisecond)))
		p.Data = append(p.Data, make([]byte, 1000)...)
		p.Data = append(p.Data, 0x80)
		r.Packet(&p)
		if at%(10*time.Second) == 0 {
			settle(t, r) // no faster than the disk
		}
	}
	settle(t, r)
}

// settle waits until the writer has nothing to do.
func settle(t testing.TB, r *Ring) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for {
		if st := r.Stats(); st.Packets+st.Dropped == r.number {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("the writer stands still: %+v of %d", r.Stats(), r.number)
		}
	}
}

type indexed struct {
	Inits []struct {
		Name, Codecs  string
		Width, Height int
	}
	Segments []struct {
		Name, Init string
		T, Dur     float64
		Start      float64
		Seg        uint32
		Bytes      int64
	}
}

func get(s *Store, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func index(t testing.TB, s *Store, name string) indexed {
	t.Helper()
	w := get(s, "/ring/"+name+"/index.json")
	var in indexed
	if err := json.Unmarshal(w.Body.Bytes(), &in); w.Code != 200 || err != nil {
		t.Fatalf("%d %s %v", w.Code, w.Body, err)
	}
	return in
}

// The index, the files on disk and what is served agree, while old segments go.
func TestStore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{Span: 20 * time.Second})
	if _, _, ok := s.Span("door"); ok {
		t.Error("a span of no ring")
	}
	r := ringOf(t, s, "door")
	if again, err := s.Source("door"); again != r || err != nil {
		t.Errorf("a second ring: %v", err)
	}
	if in := index(t, s, "door"); len(in.Segments) != 0 {
		t.Errorf("at first %+v", in)
	}
	feed(t, r, 0, 61*time.Second) // the last second waits for the next keyframe
	in := index(t, s, "door")
	if len(in.Inits) != 1 || in.Inits[0].Codecs != "avc1.42c028,opus" && in.Inits[0].Codecs != "avc1.42c028" || in.Inits[0].Width != 1920 || in.Inits[0].Height != 1080 {
		t.Fatalf("inits %+v", in.Inits)
	}
	if n := len(in.Segments); n < 10 || n > 11 {
		t.Errorf("%d segments", n)
	}
	end := in.Segments[0].T
	for _, seg := range in.Segments {
		if seg.T != end || seg.Dur != 2 || seg.Start != seg.T+lead.Seconds() || seg.Init != in.Inits[0].Name {
			t.Errorf("segment %+v behind %v", seg, end)
		}
		end = seg.T + seg.Dur
	}
	from, to, ok := s.Span("door")
	if !ok || to != 60*time.Second || from.Seconds() != in.Segments[0].T {
		t.Errorf("span %v to %v", from, to)
	}
	var want []string
	sum := int64(0)
	for _, i := range in.Inits {
		want = append(want, "door/"+i.Name)
		sum += int64(get(s, "/ring/door/"+i.Name).Body.Len())
	}
	for _, seg := range in.Segments {
		want = append(want, "door/"+seg.Name)
		sum += seg.Bytes
		w := get(s, "/ring/door/"+seg.Name)
		if w.Code != 200 || int64(w.Body.Len()) != seg.Bytes || w.Header().Get("Content-Type") != "video/iso.segment" || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d, %d bytes, %v", seg.Name, w.Code, w.Body.Len(), w.Header())
		}
	}
	slices.Sort(want)
	if got := files(t, dir); !slices.Equal(got, want) {
		t.Errorf("on disk %v, want %v", got, want)
	}
	if st := r.Stats(); st.Bytes != sum || st.Segments != len(in.Segments) || st.Dropped != 0 || st.Err != nil {
		t.Errorf("%+v, want %d bytes", st, sum)
	}
	// Removed with its files, and begun anew under other names.
	if err := s.Remove("door"); err != nil {
		t.Fatal(err)
	}
	if got := files(t, dir); len(got) != 0 {
		t.Errorf("left after Remove: %v", got)
	}
	if w := get(s, "/ring/door/index.json"); w.Code != 404 {
		t.Errorf("a removed ring: %d", w.Code)
	}
	p := picture(0, 0, true, 0)
	r.Packet(&p) // reaches nobody
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Source("door"); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestBytesAreBounded(t *testing.T) {
	dir := t.TempDir()
	const limit = 300_000
	s := open(t, dir, Options{MaxBytes: limit})
	r := ringOf(t, s, "door")
	for i := range 10 {
		feed(t, r, time.Duration(i)*10*time.Second, time.Duration(i+1)*10*time.Second)
		total := int64(0)
		for _, f := range files(t, dir) {
			st, err := os.Stat(filepath.Join(dir, f))
			if err != nil {
				t.Fatal(err)
			}
			total += st.Size()
		}
		if st := r.Stats(); total > limit || st.Bytes != total || st.Segments < 3 {
			t.Fatalf("%d bytes on disk, %+v", total, st)
		}
	}
}

// Files of a killed run go, whatever else is in the folder stays.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"door/init-1.mp4", "door/2.m4s", "door/3.m4s.part", "attic/init-5.mp4.part",
		"mine/notes.txt", "mine/7.m4s", "video.mp4", "door.d/sub/8.m4s",
	} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	outside := filepath.Join(t.TempDir(), "9.m4s")
	if err := os.WriteFile(outside, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, Options{})
	if got, want := files(t, dir), []string{"door.d/sub/8.m4s", "link", "mine/notes.txt", "video.mp4"}; !slices.Equal(got, want) {
		t.Errorf("left are %v, want %v", got, want)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Errorf("a file elsewhere: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "door")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty folder stays: %v", err)
	}
	// A folder that leads elsewhere is no ring's.
	if _, err := s.Source("link"); err == nil {
		t.Error("a ring outside the folder")
	}
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second program: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	open(t, dir, Options{})
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret.mp4"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, Options{})
	r := ringOf(t, s, "door")
	feed(t, r, 0, 5*time.Second)
	if err := os.WriteFile(filepath.Join(dir, "door", "1.m4s"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{
		"/ring/", "/ring/door", "/ring/door/", "/ring/none/index.json", "/ring/door/../secret.mp4", "/ring/door/..%2fsecret.mp4",
		"/ring/../secret.mp4", "/ring/door/1.m4s", "/ring/door/%00", "/ring/door/index.json/", "/ring//etc/passwd", "/ring/./secret.mp4", "/ring/door/.lock",
	} {
		if w := get(s, target); w.Code != 404 || strings.Contains(w.Body.String(), "secret\"") {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("DELETE", "/ring/door/index.json", nil))
	if w.Code != 405 {
		t.Errorf("DELETE: %d", w.Code)
	}
	for _, name := range []string{"", "..", "a/b", ".lock"} {
		if _, err := s.Source(name); err == nil {
			t.Errorf("a ring named %q", name)
		}
	}
	seg := index(t, s, "door").Segments[0]
	if w := get(s, "/ring/door/"+seg.Name, "Range", "bytes=4-7"); w.Code != 206 || w.Body.String() != "moof" || w.Header().Get("Content-Range") != fmt.Sprintf("bytes 4-7/%d", seg.Bytes) {
		t.Errorf("a range: %d %q %v", w.Code, w.Body, w.Header())
	}
	if w := get(s, "/ring/door/"+seg.Name, "If-None-Match", `"`+seg.Name+`"`); w.Code != http.StatusNotModified {
		t.Errorf("with its tag: %d", w.Code)
	}
	if w := get(s, "/ring/door/"+seg.Init); w.Header().Get("Content-Type") != "video/mp4" || w.Body.String()[4:8] != "ftyp" {
		t.Errorf("init: %v", w.Header())
	}
}

// A disk that fails costs segments and is told; the ring goes on when it is back.
func TestDiskFails(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	r := ringOf(t, s, "door")
	feed(t, r, 0, 5*time.Second)
	before := r.Stats()
	if before.Err != nil || before.Segments != 2 {
		t.Fatalf("%+v", before)
	}
	// A folder stands where the next file should be written.
	next := fmt.Sprintf("%d.m4s.part", r.next)
	if err := os.Mkdir(filepath.Join(dir, "door", next), 0o700); err != nil {
		t.Fatal(err)
	}
	feed(t, r, 5*time.Second, 7*time.Second)
	if st := r.Stats(); st.Err == nil || st.Failed != 1 || !strings.Contains(st.Err.Error(), ".m4s") || strings.Contains(st.Err.Error(), "\n") || st.Segments != 1 {
		t.Fatalf("%+v", st)
	}
	if err := os.Remove(filepath.Join(dir, "door", next)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	feed(t, r, 7*time.Second, 11*time.Second)
	if st := r.Stats(); st.Err != nil || st.Segments < 2 {
		t.Fatalf("%+v", st)
	}
}

// Packets that are lost in front of the writer leave no damaged segment behind.
func TestSlowDisk(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	r := ringOf(t, s, "door")
	feed(t, r, 0, 5*time.Second)
	// The writer stands still while it is held.
	r.mu.Lock()
	for i := range 5 * queued {
		at := 5*time.Second + time.Duration(i)*40*time.Millisecond
		p := picture(at, 0, i%25 == 0, i)
		r.Packet(&p)
	}
	r.mu.Unlock()
	settle(t, r)
	if st := r.Stats(); st.Dropped == 0 || st.Segments == 0 {
		t.Fatalf("%+v", st)
	}
	in := index(t, s, "door")
	gap := false
	for i, seg := range in.Segments[1:] {
		before := in.Segments[i]
		if seg.T < before.T+before.Dur-0.001 || seg.T != float64(int(seg.T)) {
			t.Fatalf("segment %+v behind %+v", seg, before)
		}
		gap = gap || seg.T > before.T+before.Dur+1
	}
	if !gap {
		t.Error("what was lost shows nowhere")
	}
}

// A real clip through the store: what is served is what ffmpeg can play.
func TestServedPlays(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	r := ringOf(t, s, "door")
	clip := mediatest.ByName(t, "mp4-h264-aac")
	streams, list := packets(t, clip)
	r.Streams(streams)
	for i := range list {
		r.Packet(&list[i])
	}
	last := list[len(list)-1]
	jump := ingest.Packet{Stream: last.Stream, Seg: 1, PTS: 9 * time.Second, DTS: 9 * time.Second, Data: []byte{1}}
	r.Packet(&jump) // ends what is pending
	settle(t, r)
	in := index(t, s, "door")
	b := get(s, "/ring/door/"+in.Inits[0].Name).Body.Bytes()
	for _, seg := range in.Segments {
		b = append(b, get(s, "/ring/door/"+seg.Name).Body.Bytes()...)
	}
	name := filepath.Join(t.TempDir(), "x.mp4")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if n := len(pictures(t, name)); n != len(clip.Frames) {
		t.Errorf("%d pictures, want %d", n, len(clip.Frames))
	}
}

func TestIndexIsDescribed(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	r := ringOf(t, s, "door")
	feed(t, r, 0, 5*time.Second)
	_, section, _ := strings.Cut(docs.Protocol, "### The last ten minutes")
	var check func(any)
	check = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, inner := range v {
				if !strings.Contains(section, `"`+k+`"`) {
					t.Errorf("member %s is not described", k)
				}
				check(inner)
			}
		case []any:
			for _, inner := range v {
				check(inner)
			}
		}
	}
	var v any
	if err := json.Unmarshal(get(s, "/ring/door/index.json").Body.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	check(v)
}
