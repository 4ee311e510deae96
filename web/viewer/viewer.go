// Package viewer is the page on which a running seehear is watched: plain ES
// modules, embedded, without a build step and without anything from elsewhere.
// Package web serves it; it speaks docs/protocol.md and nothing else.
//
//	mux.Handle("GET /{$}", …)       // Files, "index.html"
//	mux.Handle("GET /viewer/", …)   // Files, without the prefix
//
// The page loads no inline script or style and asks its own origin alone, so it
// is to be served under [Policy]. Tests of the modules that touch no browser run
// in node (test/), the whole in Chromium (browser_test.go); types are checked
// from the comments by `make lint`.
package viewer

import (
	"embed"
	"io/fs"
)

// Policy is the Content-Security-Policy of the page: nothing but its own files
// and its own origin; blob: is what a recording is played from.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

//go:embed page
var page embed.FS

// Files returns the files of the viewer: index.html, which belongs at /, and
// what it loads from /viewer/.
func Files() fs.FS {
	sub, err := fs.Sub(page, "page")
	if err != nil {
		panic(err) // The folder is embedded above.
	}
	return sub
}
