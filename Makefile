# Each target works on a bare Debian 12 or 13 with Go, git and make: .ci/env
# installs FFmpeg and ONNX Runtime first where they are missing.
.PHONY: help deps build run serve test test-models bench fuzz lint proof fresh clean
.DEFAULT_GOAL := help

INPUT  ?= docs/demo/demo.mp4
OUT    ?= out
# The trained pack, once there is one; until then the test graphs, which say of
# themselves that they are test graphs, and the localization that needs no model.
MODELS ?= $(if $(wildcard models/default/pack.yaml),models/default,models/fixture --localize sync)
FUZZ   ?= 20s
ENV    := .ci/env
FLAGS  ?=

help: ## print this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

deps: ## install what is missing: a compiler, FFmpeg 7.1, ONNX Runtime, node, Chromium
	@$(ENV) true
	@.ci/browser

build: ## build bin/seehear
	@$(ENV) go build -o bin/seehear ./cmd/seehear

run: build ## annotate a clip and name the report (INPUT=my.mp4, FACES=1)
	@bin/seehear annotate $(if $(FACES),--faces) --models $(MODELS) -o $(OUT) $(FLAGS) "$(INPUT)"

serve: build ## play a clip as if it were live and name the page to open (INPUT=rtsp://…)
	@bin/seehear serve --models $(MODELS) $(FLAGS) "$(INPUT)"

test: ## all tests, with the race detector
	@.ci/browser
	@$(ENV) go vet ./...
	@$(ENV) go test -race -timeout 15m ./...

test-models: ## prove the importers of published checkpoints (Python, PyTorch)
	@python=$$(models/train/venv) && "$$python" -W ignore models/train/test_import.py && \
		PYTHON=$$python $(ENV) go test -tags models -run TestImportForReal -count 1 -timeout 20m ./cmd/seehear

bench: build ## speed and memory as ratios against ffmpeg, and Go benchmarks
	@$(ENV) go test -run '^$$' -bench . -benchmem ./...
	@$(ENV) go test -tags bench -run TestRatios -v -count 1 -timeout 30m ./cmd/seehear

fuzz: ## each fuzz target for FUZZ (20s)
	@$(ENV) .ci/fuzz $(FUZZ)

lint: ## vet, staticcheck and the rest, the arrows between packages, the viewer's types
	@$(ENV) .ci/lint

proof: build ## the long proofs: an hour of media, peak memory, hours of live sources in short
	@$(ENV) go test -tags proof -run "TestPeakMemory|TestSixtyMinutes|TestLiveProof" -v -count 1 -timeout 150m ./cmd/seehear

fresh: ## make run and make test in bare Debian 12 and 13 roots (needs root, debootstrap)
	@.ci/fresh

clean: ## remove what was built and made here
	@rm -rf bin out
