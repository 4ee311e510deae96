module github.com/seehear/seehear

go 1.26.0

require github.com/go-audio/audio v1.0.0 // indirect
