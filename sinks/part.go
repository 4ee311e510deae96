package sinks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// PartSuffix ends the name of a file that is not whole yet.
const PartSuffix = ".part"

// Part is a file in the making. It lives under its name with [PartSuffix] until
// [Part.Commit] renames it; a reader that looks for the final name never sees
// half a file. A Part left by a killed run is overwritten by the next.
//
// Each call of Write is one write to the file, and one that fails leaves none of
// its bytes behind, so a file written line by line consists of whole lines at
// any moment. Errors are one line with the final name and the cause. A Part is
// used by one goroutine and ended by exactly one of Commit, Abandon and Discard;
// further calls of these do nothing.
type Part struct {
	name string
	f    *os.File
	size int64
	err  error
}

// Create begins the file of that final name, making its folder if need be.
func Create(name string) (*Part, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return nil, FailedFile("create", name, err)
	}
	f, err := os.OpenFile(name+PartSuffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return nil, FailedFile("create", name, err)
	}
	return &Part{name: name, f: f}, nil
}

// Name returns the final name.
func (p *Part) Name() string { return p.name }

// Size returns how many bytes were written.
func (p *Part) Size() int64 { return p.size }

// Err returns the error that made the file unusable, if any.
func (p *Part) Err() error { return p.err }

// Write appends b. After an error every further Write returns that error.
func (p *Part) Write(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	if p.f == nil {
		return 0, FailedFile("write", p.name, fs.ErrClosed)
	}
	n, err := p.f.Write(b)
	if err != nil {
		p.err = FailedFile("write", p.name, err)
		if n > 0 {
			// A full disk takes the first part of the bytes: take them back.
			if p.f.Truncate(p.size) == nil {
				_, _ = p.f.Seek(p.size, 0)
			}
		}
		return 0, p.err
	}
	p.size += int64(n)
	return n, nil
}

// Commit makes the file durable and gives it its final name. If anything failed,
// now or in an earlier Write, the file stays as a part and the error says why.
func (p *Part) Commit() error {
	if p.f == nil {
		return p.err
	}
	f := p.f
	p.f = nil
	if p.err != nil {
		f.Close()
		return p.err
	}
	err := f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(p.name+PartSuffix, p.name)
	}
	if err != nil {
		p.err = FailedFile("finish", p.name, err)
	}
	return p.err
}

// Abandon closes the file and leaves it as a part, for what is in it.
func (p *Part) Abandon() {
	if p.f != nil {
		p.f.Close()
		p.f = nil
	}
}

// Discard closes the file and removes it.
func (p *Part) Discard() {
	if p.f != nil {
		p.f.Close()
		p.f = nil
		_ = os.Remove(p.name + PartSuffix)
	}
}

// End ends the file as [Sink.Close] must: err, the context's or a Write's error,
// leaves the part behind and is returned; without one it commits.
func (p *Part) End(err error) error {
	if err != nil {
		p.Abandon()
		return err
	}
	return p.Commit()
}

// WriteFile writes a whole file at once.
func WriteFile(name string, b []byte) error {
	p, err := Create(name)
	if err != nil {
		return err
	}
	if _, err = p.Write(b); err != nil {
		p.Discard()
		return err
	}
	return p.Commit()
}

// FileError names the file once: the errors of package os repeat path and
// operation.
type FileError struct {
	Op, Name string
	Err      error
}

func (e *FileError) Error() string { return fmt.Sprintf("sinks: %s %s: %v", e.Op, e.Name, e.Err) }

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// FailedFile makes a [FileError] of an error of package os.
func FailedFile(op, name string, err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		err = path.Err
	case errors.As(err, &link):
		err = link.Err
	}
	return &FileError{op, name, err}
}
