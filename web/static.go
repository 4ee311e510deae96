package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"
)

// types of the viewer's files: what else lies beside them is not served. The
// machine's own table may lack some, or differ.
var types = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8", ".json": "application/json", ".svg": "image/svg+xml", ".png": "image/png",
	".ico": "image/x-icon", ".woff2": "font/woff2", ".webmanifest": "application/manifest+json", ".txt": "text/plain; charset=utf-8",
}

// static are the viewer's files, all in memory, with tags of their content.
type static map[string]file

type file struct {
	typ, tag string
	data     []byte
}

func loadStatic(fsys fs.FS) (static, error) {
	files := static{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		typ := types[path.Ext(name)]
		if typ == "" {
			return nil // not for browsers
		}
		b, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		files[name] = file{typ, `"` + hex.EncodeToString(sum[:12]) + `"`, b}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("web: viewer: %w", err)
	}
	if _, ok := files["index.html"]; !ok {
		return nil, fmt.Errorf("web: viewer: no index.html")
	}
	return files, nil
}

// serve answers with the file of that name.
func (s static) serve(w http.ResponseWriter, r *http.Request, name string) {
	f, ok := s[name]
	if !ok {
		fail(w, http.StatusNotFound, "no such page")
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.typ)
	h.Set("ETag", f.tag)
	h.Set("Cache-Control", "no-cache") // asks each time, and gets 304
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.data))
}
