//go:build !unix

package models

import (
	"context"
	"errors"
)

func lock(context.Context, string, func()) (func(), error) {
	return nil, errors.New("pulling models needs a system with file locks")
}
