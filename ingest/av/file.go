package av

// #include "demux.h"
import "C"

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/seehear/seehear/ingest"
)

// plainError says what went wrong with a file in a few words; the name is known.
func plainError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &worded{"no such file", err}
	case errors.Is(err, fs.ErrPermission):
		return &worded{"no permission to read it", err}
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// worded is an error in other words.
type worded struct {
	words string
	err   error
}

func (w *worded) Error() string { return w.words }
func (w *worded) Unwrap() error { return w.err }

// redacted keeps credentials out of an error's text, and the text on one line.
func redacted(err error) error { return &worded{printable(ingest.Redact(err.Error())), err} }

// printable returns s without what would break a line or command a terminal: the
// names of files and the entries of playlists may hold anything.
func printable(s string) string {
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			q := strconv.Quote(s)
			return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
		}
	}
	return s
}

// openPath opens a file by its name; instant says that reading it never waits.
func openPath(ctx context.Context, path string) (st stream, instant bool, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, false, plainError(err)
	}
	flags := os.O_RDONLY
	if !info.Mode().IsRegular() {
		flags |= syscall.O_NONBLOCK // opening a pipe would wait for its writer
	}
	if info.IsDir() {
		return nil, false, errors.New("it is a folder, not a file")
	}
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return nil, false, plainError(err)
	}
	return fileOrPipe(ctx, f)
}

// fileOrPipe takes over f.
func fileOrPipe(ctx context.Context, f *os.File) (st stream, instant bool, err error) {
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, false, plainError(err)
	}
	switch {
	case info.Mode().IsRegular():
		return &fileStream{f: f, size: info.Size()}, true, nil
	case info.IsDir():
		_ = f.Close()
		return nil, false, errors.New("it is a folder, not a file")
	case info.Mode()&(fs.ModeNamedPipe|fs.ModeCharDevice|fs.ModeSocket) != 0:
		st, err = newPipeStream(ctx, f, int(f.Fd()))
		return st, false, err
	}
	_ = f.Close()
	return nil, false, fmt.Errorf("it is neither a file nor a pipe (%v)", info.Mode())
}

// openStdin reads the file descriptor fd, which stays open.
func openStdin(ctx context.Context, fd int) (st stream, instant bool, err error) {
	// A copy, so that closing it leaves the program's own standard input alone.
	dup, err := syscall.Dup(fd)
	if err != nil {
		return nil, false, errors.New("standard input is closed")
	}
	syscall.CloseOnExec(dup)
	f := os.NewFile(uintptr(dup), "stdin")
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		at, err := f.Seek(0, io.SeekCurrent) // a shell may have read some of it
		if err != nil {
			at = 0
		}
		return &fileStream{f: f, base: at, size: max(info.Size()-at, 0)}, true, nil
	}
	return fileOrPipe(ctx, f)
}

// fileStream reads a regular file by position.
type fileStream struct {
	f               *os.File
	base, pos, size int64
}

func (s *fileStream) Read(p []byte) (int, error) {
	n, err := s.f.ReadAt(p, s.base+s.pos)
	s.pos += int64(n)
	if n > 0 {
		return n, nil
	}
	if !errors.Is(err, io.EOF) {
		err = plainError(err)
	}
	return 0, err
}

func (s *fileStream) Seek(offset int64, whence int) (int64, error) {
	pos, err := place(offset, whence, s.pos, s.size)
	if err == nil {
		s.pos = pos
	}
	return pos, err
}

func (s *fileStream) Size() int64    { return s.size }
func (s *fileStream) Seekable() bool { return true }
func (s *fileStream) Close() error   { return s.f.Close() }

// place computes where a seek leads.
func place(offset int64, whence int, pos, size int64) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += pos
	case io.SeekEnd:
		offset += size
	}
	if offset < 0 {
		return 0, errSeek
	}
	return offset, nil
}

// bytesStream is a stream in memory.
type bytesStream struct{ *bytes.Reader }

func newBytesStream(b []byte) stream { return bytesStream{bytes.NewReader(b)} }

func (s bytesStream) Seekable() bool { return true }
func (s bytesStream) Close() error   { return nil }

// pipeStream reads a pipe, a terminal or a device. It waits for bytes together
// with a second pipe, whose end wakes it: a plain read could not be ended.
type pipeStream struct {
	f          *os.File
	fd         int
	wake, wait *os.File // closing wake ends the wait
	unwatch    func() bool
	once       sync.Once
	ctx        context.Context
}

func newPipeStream(ctx context.Context, f *os.File, fd int) (stream, error) {
	wait, wake, err := os.Pipe()
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	s := &pipeStream{f: f, fd: fd, wake: wake, wait: wait, ctx: ctx}
	s.unwatch = context.AfterFunc(ctx, s.rouse)
	return s, nil
}

func (s *pipeStream) rouse() { s.once.Do(func() { _ = s.wake.Close() }) }

func (s *pipeStream) Read(p []byte) (int, error) {
	for {
		switch C.fd_wait(C.int(s.fd), C.int(s.wait.Fd())) {
		case 0:
			return 0, context.Cause(s.ctx)
		case -1:
			return 0, errors.New("waiting for bytes failed")
		}
		n, err := syscall.Read(s.fd, p)
		switch {
		case errors.Is(err, syscall.EINTR), errors.Is(err, syscall.EAGAIN):
			continue
		case err != nil:
			return 0, err
		case n <= 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

func (s *pipeStream) Seek(int64, int) (int64, error) { return 0, errSeek }
func (s *pipeStream) Size() int64                    { return -1 }
func (s *pipeStream) Seekable() bool                 { return false }

func (s *pipeStream) Close() error {
	s.unwatch()
	s.rouse()
	return errors.Join(s.f.Close(), s.wait.Close())
}

// readerStream reads an io.Reader on a goroutine of its own, so that a reader
// which blocks does not block the source.
type readerStream struct {
	r    io.Reader
	ctx  context.Context
	seek io.Seeker
	size int64

	ask    chan struct{}
	answer chan readerAnswer
	done   chan struct{}
	asked  bool
	rest   []byte
	buf    []byte
	err    error
}

type readerAnswer struct {
	n   int
	err error
}

func newReaderStream(ctx context.Context, r io.Reader) stream {
	s := &readerStream{
		r: r, ctx: ctx, size: -1, buf: make([]byte, readAhead),
		ask: make(chan struct{}), answer: make(chan readerAnswer, 1), done: make(chan struct{}),
	}
	if seeker, ok := r.(io.Seeker); ok {
		if size, err := seeker.Seek(0, io.SeekEnd); err == nil {
			if _, err := seeker.Seek(0, io.SeekStart); err == nil {
				s.seek, s.size = seeker, size
			}
		}
	}
	go s.pump()
	return s
}

const readAhead = 64 << 10

func (s *readerStream) pump() {
	defer close(s.done)
	for range s.ask {
		n, err := s.r.Read(s.buf)
		s.answer <- readerAnswer{n, err}
	}
}

func (s *readerStream) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		if !s.asked {
			s.asked = true
			s.ask <- struct{}{} // the pump waits for it
		}
		select {
		case a := <-s.answer:
			s.asked = false
			s.rest, s.err = s.buf[:min(max(a.n, 0), len(s.buf))], a.err
			if a.n == 0 && a.err == nil {
				return 0, nil
			}
		case <-s.ctx.Done():
			return 0, context.Cause(s.ctx)
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *readerStream) Seek(offset int64, whence int) (int64, error) {
	if s.seek == nil || s.asked {
		return 0, errSeek
	}
	if whence == io.SeekCurrent {
		offset -= int64(len(s.rest)) // read ahead of what was taken
	}
	n, err := s.seek.Seek(offset, whence)
	if err != nil {
		return 0, errSeek
	}
	s.rest, s.err = nil, nil
	return n, nil
}

func (s *readerStream) Size() int64    { return s.size }
func (s *readerStream) Seekable() bool { return s.seek != nil }

func (s *readerStream) Close() error {
	var err error
	closer, ok := s.r.(io.Closer)
	if ok {
		err = closer.Close()
	}
	close(s.ask)
	if ok || !s.asked {
		<-s.done
	}
	return err
}
