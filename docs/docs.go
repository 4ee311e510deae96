// Package docs holds the published descriptions of what seehear writes, so that
// tests can hold the program to them.
package docs

import _ "embed"

// ResultsSchema is results.schema.json: the JSON Schema (draft 2020-12) of one
// line of results.jsonl.
//
//go:embed results.schema.json
var ResultsSchema []byte

// Protocol is protocol.md: how results reach viewers.
//
//go:embed protocol.md
var Protocol string

// Config is seehear.yaml: a configuration of `seehear serve`.
//
//go:embed seehear.yaml
var Config []byte
