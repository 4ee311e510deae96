# Each target works on a bare Debian 12 or 13 with Go, git and make: .ci/env
# installs FFmpeg and ONNX Runtime first where they are missing.
.PHONY: help deps build run serve test test-models train-soundnet train-speech train-faces train-vision train-caption train-embedding train-localize eval bench fuzz lint proof fresh clean
.DEFAULT_GOAL := help

INPUT  ?= docs/demo/demo.mp4
OUT    ?= out
MODELS ?= models/default
# Of the recipes: the folder of the data sets, and where shards, checkpoints and
# results go.
DATA   ?= $(CURDIR)/data
WORK   ?= $(CURDIR)/out/train
FUZZ   ?= 20s
ENV    := .ci/env
FLAGS  ?=

help: ## print this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

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

test-models: ## prove the importers of published checkpoints, and the recipes (Python, PyTorch)
	@python=$$(models/train/venv) && "$$python" -W ignore models/train/test_import.py && \
		"$$python" -m unittest discover -s models/train/vision && \
		PYTHONPATH=models/train "$$python" -W ignore -m unittest discover -s models/train/audio -t models/train && \
		PYTHONPATH=models/train "$$python" -W ignore -m unittest discover -s models/train/sounding -t models/train && \
		PYTHON=$$python $(ENV) go test -tags models -run TestImportForReal -count 1 -timeout 20m ./cmd/seehear

train-soundnet: ## train the sound network into models/default, after train-vision (DATA=folder, WORK=folder)
	@python=$$(models/train/venv) && set -- --data "$(DATA)" --work "$(WORK)/sound" --teachers "$(WORK)/teachers/sounds.npz" && \
		"$$python" models/train/soundnet.py "$$@" && "$$python" models/train/soundnet_publish.py "$$@"

train-speech: ## train the speech gate into models/default (needs espeak-ng)
	@python=$$(models/train/venv) && "$$python" models/train/speech.py --data "$(DATA)" --work "$(WORK)/sound" && \
		"$$python" models/train/speech_publish.py --data "$(DATA)" --work "$(WORK)/sound"

train-faces: ## train the illustration of voices into models/default
	@python=$$(models/train/venv) && "$$python" models/train/speech2face.py --data "$(DATA)" --work "$(WORK)/faces" && \
		"$$python" models/train/speech2face_publish.py --data "$(DATA)" --work "$(WORK)/faces"

train-vision: ## train the trunk with its object and scene heads into models/default (DATA=folder, WORK=folder)
	@python=$$(models/train/venv) && "$$python" models/train/vision/shards.py "$(DATA)" "$(WORK)/vision" && \
		"$$python" models/train/teachers.py "$(WORK)/vision" "$(WORK)/teachers" && \
		"$$python" models/train/teachers_publish.py "$(DATA)" "$(WORK)/vision" "$(WORK)/teachers/teachers.pt" && \
		"$$python" models/train/sound_posteriors.py "$(DATA)" "$(WORK)/vision" "$(WORK)/teachers/teachers.pt" "$(WORK)/teachers/sounds.npz"

train-caption: ## train the captioner into models/default, after train-vision
	@python=$$(models/train/venv) && flickr="$(DATA)/flickr8k.tar" && \
		"$$python" models/train/captioner_trunk.py "$$flickr" "$(WORK)/teachers/teachers.pt" "$(WORK)/trunk" && \
		"$$python" models/train/captioner.py "$$flickr" "$(WORK)/trunk/trunk.pt" "$(WORK)/captioner" && \
		"$$python" models/train/captioner_publish.py "$$flickr" "$(WORK)/trunk/trunk.pt" "$(WORK)/captioner"

train-embedding: ## train the joint embedding of pictures and sentences into models/default, after train-caption
	@python=$$(models/train/venv) && flickr="$(DATA)/flickr8k.tar" && \
		"$$python" models/train/embedding.py "$$flickr" "$(WORK)/trunk/trunk.pt" "$(WORK)/captioner/maps.npy" "$(WORK)/embedding" && \
		"$$python" models/train/embedding_publish.py "$$flickr" "$(WORK)/trunk/trunk.pt" "$(WORK)/embedding"

train-localize: ## train localization into models/default, after train-vision and train-soundnet
	@python=$$(models/train/venv) && "$$python" models/train/localize.py --data "$(DATA)" --cache "$(WORK)/vision" \
		--teachers "$(WORK)/teachers/teachers.pt" --sounds "$(WORK)/sound/esc5-urban10/net.pt" --bank "$(WORK)/sound" --work "$(WORK)/localize" && \
		"$$python" models/train/localize_publish.py --data "$(DATA)" --cache "$(WORK)/vision" --work "$(WORK)/localize"

eval: ## recompute the figures of models/default with the program itself (DATA=folder)
	@DATA="$(abspath $(DATA))" $(ENV) go test -tags eval -run TestEval -v -count 1 -timeout 60m ./cmd/seehear

bench: build ## speed and memory as ratios against ffmpeg, and Go benchmarks
	@$(ENV) go test -run '^$$' -bench . -benchmem ./...
	@$(ENV) go test -tags bench -run TestRatios -v -count 1 -timeout 30m ./cmd/seehear

fuzz: ## each fuzz target for FUZZ (20s)
	@$(ENV) .ci/fuzz $(FUZZ)

lint: ## vet, staticcheck and the rest, the arrows between packages, the viewer's types
	@$(ENV) .ci/lint

proof: build ## the long proofs: an hour of media, every output, peak memory, hours of live sources in short
	@$(ENV) go test -tags proof -run "TestPeakMemory|TestSixtyMinutes|TestEveryOutput|TestLiveProof" -v -count 1 -timeout 150m ./cmd/seehear

fresh: ## make run and make test in bare Debian 12 and 13 roots (needs root, debootstrap)
	@.ci/fresh

clean: ## remove what was built and made here
	@rm -rf bin out
