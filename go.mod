module github.com/seehear/seehear

go 1.26.0

require (
	github.com/go-audio/audio v1.0.0 // indirect
	github.com/google/go-cmp v0.7.0 // indirect
	github.com/yalue/onnxruntime_go v1.27.0 // indirect
	go.uber.org/goleak v1.3.0 // indirect
	go.yaml.in/yaml/v3 v3.0.6 // indirect
	pgregory.net/rapid v1.3.0 // indirect
)
