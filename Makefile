# Each target works on a bare Debian 12 or 13 with Go, git and make: .ci/env
# installs FFmpeg and ONNX Runtime first where they are missing.
.PHONY: help deps build run test test-models train-vision train-caption train-embedding bench fuzz lint proof fresh clean
.DEFAULT_GOAL := help

INPUT  ?= docs/demo/demo.mp4
OUT    ?= out
# The trained pack, once there is one; until then the test graphs, which say of
# themselves that they are test graphs, and the localization that needs no model.
MODELS ?= $(if $(wildcard models/default/pack.yaml),models/default,models/fixture --localize sync)
# Of the recipes: the folder of the data sets, and where shards, checkpoints and
# results go.
DATA   ?= $(CURDIR)/data
WORK   ?= $(CURDIR)/out/train
FUZZ   ?= 20s
ENV    := .ci/env
FLAGS  ?=

help: ## print this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

deps: ## install what is missing: a compiler, FFmpeg 7.1, ONNX Runtime
	@$(ENV) true

build: ## build bin/seehear
	@$(ENV) go build -o bin/seehear ./cmd/seehear

run: build ## annotate a clip and name the report (INPUT=my.mp4, FACES=1)
	@bin/seehear annotate $(if $(FACES),--faces) --models $(MODELS) -o $(OUT) $(FLAGS) "$(INPUT)"

test: ## all tests, with the race detector
	@$(ENV) go vet ./...
	@$(ENV) go test -race -timeout 15m ./...

test-models: ## prove the importers of published checkpoints (Python, PyTorch)
	@python=$$(models/train/venv) && "$$python" -W ignore models/train/test_import.py && \
		"$$python" -m unittest discover -s models/train/vision && \
		PYTHON=$$python $(ENV) go test -tags models -run TestImportForReal -count 1 -timeout 20m ./cmd/seehear

train-vision: ## train the trunk with its object and scene heads (DATA=folder, WORK=folder)
	@python=$$(models/train/venv) && "$$python" models/train/vision/shards.py "$(DATA)" "$(WORK)/vision" && \
		"$$python" models/train/teachers.py "$(WORK)/vision" "$(WORK)/teachers" && \
		"$$python" models/train/teachers_report.py "$(DATA)" "$(WORK)/vision" "$(WORK)/teachers/teachers.pt" "$(WORK)/teachers/report" && \
		"$$python" models/train/sound_posteriors.py "$(DATA)" "$(WORK)/vision" "$(WORK)/teachers/teachers.pt" "$(WORK)/teachers/sounds.npz"

train-caption: ## train the captioner, after train-vision
	@python=$$(models/train/venv) && flickr="$(DATA)/flickr8k.tar" && \
		"$$python" models/train/captioner_trunk.py "$$flickr" "$(WORK)/teachers/teachers.pt" "$(WORK)/trunk" && \
		"$$python" models/train/captioner.py "$$flickr" "$(WORK)/trunk/trunk.pt" "$(WORK)/captioner" && \
		"$$python" models/train/captioner_report.py "$$flickr" "$(WORK)/trunk/trunk.pt" "$(WORK)/captioner" "$(WORK)/captioner/report"

train-embedding: ## train the joint embedding of pictures and sentences, after train-caption
	@python=$$(models/train/venv) && "$$python" models/train/embedding.py "$(DATA)/flickr8k.tar" \
		"$(WORK)/trunk/trunk.pt" "$(WORK)/captioner/maps.npy" "$(WORK)/embedding"

bench: build ## speed and memory as ratios against ffmpeg, and Go benchmarks
	@$(ENV) go test -run '^$$' -bench . -benchmem ./...
	@$(ENV) go test -tags bench -run TestRatios -v -count 1 -timeout 30m ./cmd/seehear

fuzz: ## each fuzz target for FUZZ (20s)
	@$(ENV) .ci/fuzz $(FUZZ)

lint: ## vet, staticcheck and the rest, with the arrows between packages
	@$(ENV) .ci/lint

proof: build ## the long proofs: an hour of media, peak memory
	@$(ENV) go test -tags proof -run "TestPeakMemory|TestSixtyMinutes" -v -count 1 -timeout 60m ./cmd/seehear

fresh: ## make run and make test in bare Debian 12 and 13 roots (needs root, debootstrap)
	@.ci/fresh

clean: ## remove what was built and made here
	@rm -rf bin out
