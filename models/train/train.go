// Package train carries the Python that turns published checkpoints into model
// packs, so that `seehear models import` works wherever the program lies. Package
// cmd/seehear writes it to a folder and runs convert.py there; README.md beside this
// file says what it reads. Nothing here runs Python.
package train

import "embed"

// Importer holds convert.py, requirements.txt and the package importer.
//
//go:embed convert.py requirements.txt importer/*.py importer/labels/*.txt
var Importer embed.FS
