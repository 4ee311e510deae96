package ring

import (
	"errors"
	"os"
	"syscall"
)

// lockFile takes the lock of a folder; closing the file, or the end of the
// program however it comes, gives it back.
func lockFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.New("in use by another seehear")
		}
		return nil, err
	}
	return f, nil
}
