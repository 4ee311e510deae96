//go:build eval

package main

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/infer/caption"
	"github.com/seehear/seehear/models"
)

// judgePictures recomputes how often the most likely object of an official validation
// image of Tiny-ImageNet is its class, and the most likely scene of one of MiniPlaces.
func judgePictures(e *evaluation) map[string]float64 {
	f := newLooking(e, e.open.sessions["graph"], "objects", "scenes")
	figures := map[string]float64{}
	for head, set := range map[string][]labelled{"objects": e.tinyImages(), "scenes": e.placesImages()} {
		right := 0.0
		for _, im := range set {
			if largest(f.look(e, im.file)[head]) == im.class {
				right++
			}
		}
		e.Logf("%s: %d images", head, len(set))
		figures[head] = right / float64(len(set))
	}
	return figures
}

// judgeCaptions recomputes the scores of the captions of Flickr8k's test images.
func judgeCaptions(e *evaluation) map[string]float64 {
	file, err := os.ReadFile(filepath.Join("../../models/default", e.model.Labels["vocabulary"].Path))
	if err != nil {
		e.Fatal(err)
	}
	f, err := caption.New(caption.Config{Model: e.model, Info: e.open.info, Vocabulary: file, Sessions: e.open.sessions})
	if err != nil {
		e.Fatal(err)
	}
	var said [][]string
	var references [][][]string
	for _, im := range e.flickr() {
		var text string
		for _, ev := range e.heard(im.file, f) {
			if c, ok := ev.Payload.(*infer.Caption); ok {
				text = c.Text
			}
		}
		said = append(said, tokens(text))
		var refs [][]string
		for _, s := range im.captions {
			refs = append(refs, tokens(s))
		}
		references = append(references, refs)
	}
	e.Logf("%d images", len(said))
	return map[string]float64{"bleu4": bleu4(said, references), "cider_d": ciderD(said, references)}
}

// judgeEmbedding recomputes recall at 10 among Flickr8k's test images and their
// sentences: a picture is right when one of its sentences is among the ten nearest, a
// sentence when its picture is.
func judgeEmbedding(e *evaluation) map[string]float64 {
	f := newLooking(e, e.open.sessions["picture"], "embedding")
	words, err := models.Labels(filepath.Join("../../models/default", e.model.Labels["vocabulary"].Path))
	if err != nil {
		e.Fatal(err)
	}
	numbers := map[string]int64{}
	for i, w := range words {
		numbers[w] = int64(i)
	}
	var pictures, sentences [][]float32
	var owner []int
	for i, im := range e.flickr() {
		pictures = append(pictures, f.look(e, im.file)["embedding"])
		for _, s := range im.captions {
			sentences = append(sentences, e.sentence(tokens(s), numbers))
			owner = append(owner, i)
		}
	}
	const among = 10
	e.Logf("%d images, %d sentences", len(pictures), len(sentences))
	pictureHits, sentenceHits := 0.0, 0.0
	for i, p := range pictures {
		best, nearer := float32(-2), 0
		cosines := make([]float32, len(sentences))
		for j, s := range sentences {
			if cosines[j] = dot(p, s); owner[j] == i {
				best = max(best, cosines[j])
			}
		}
		for _, c := range cosines {
			if c > best {
				nearer++
			}
		}
		if nearer < among {
			pictureHits++
		}
	}
	for j, s := range sentences {
		own, nearer := dot(pictures[owner[j]], s), 0
		for _, p := range pictures {
			if dot(p, s) > own {
				nearer++
			}
		}
		if nearer < among {
			sentenceHits++
		}
	}
	return map[string]float64{
		"image_to_text_10": pictureHits / float64(len(pictures)), "text_to_image_10": sentenceHits / float64(len(sentences)),
	}
}

// sentence is the embedding of a sentence.
func (e *evaluation) sentence(words []string, numbers map[string]int64) []float32 {
	e.Helper()
	in := infer.Tensor{Shape: []int64{1, int64(e.model.Decode.Max)}, I64: make([]int64, e.model.Decode.Max)}
	for i, w := range words[:min(len(words), len(in.I64))] {
		n, ok := numbers[w]
		if !ok {
			n = numbers[models.Unknown]
		}
		in.I64[i] = n
	}
	var out infer.Tensor
	if err := e.open.sessions["sentence"].Run(context.Background(), []*infer.Tensor{&in}, []*infer.Tensor{&out}); err != nil {
		e.Fatal(err)
	}
	return out.F32
}

func dot(a, b []float32) (sum float32) {
	for i, x := range a {
		sum += x * b[i]
	}
	return sum
}

// looking is a family that keeps what a graph says of each picture.
type looking struct {
	session infer.Session
	packer  *infer.ImagePacker
	need    infer.Need
	ports   map[string]int
	seen    map[string][]float32 // of the last picture
}

func newLooking(e *evaluation, s infer.Session, outputs ...string) *looking {
	e.Helper()
	f := &looking{session: s, ports: map[string]int{}, need: infer.Need{Cadence: align.EveryFrame}}
	var err error
	if f.need.Image, err = infer.ImageSize(e.model.Image); err != nil {
		e.Fatal(err)
	}
	if f.packer, err = infer.NewImagePacker(e.model.Image); err != nil {
		e.Fatal(err)
	}
	for _, name := range outputs {
		if f.ports[name], err = infer.NeedPort(s.Outputs(), nil, name, "float32", 2); err != nil {
			e.Fatal(err)
		}
	}
	return f
}

// look runs the pipeline over a picture and returns what the graph says of it.
func (f *looking) look(e *evaluation, path string) map[string][]float32 {
	e.Helper()
	f.seen = nil
	e.heard(path, f)
	if f.seen == nil {
		e.Fatalf("%s: no picture", path)
	}
	return f.seen
}

func (f *looking) Models() []infer.Info { return nil }
func (f *looking) Need() infer.Need     { return f.need }
func (f *looking) Open() infer.State    { return nil }
func (f *looking) Infer(ctx context.Context, m *align.Moment) (infer.Output, error) {
	in := infer.Tensor{Shape: f.packer.Shape(1), F32: make([]float32, f.packer.Len())}
	if err := f.packer.Pack(in.F32, m.Image); err != nil {
		return nil, err
	}
	out := make([]*infer.Tensor, len(f.session.Outputs()))
	for _, i := range f.ports {
		out[i] = &infer.Tensor{}
	}
	if err := f.session.Run(ctx, []*infer.Tensor{&in}, out); err != nil {
		return nil, err
	}
	seen := map[string][]float32{}
	for name, i := range f.ports {
		seen[name] = out[i].F32
	}
	return seen, nil
}

func (f *looking) Resolve(_ context.Context, _ infer.State, _ *align.Moment, out infer.Output) ([]infer.Event, error) {
	f.seen, _ = out.(map[string][]float32)
	return nil, nil
}
func (f *looking) Finish(context.Context, infer.State) ([]infer.Event, error) { return nil, nil }

func largest(p []float32) int {
	best := 0
	for i, v := range p {
		if v > p[best] {
			best = i
		}
	}
	return best
}

// labelled is a picture with the number of its class.
type labelled struct {
	file  string
	class int
}

// lines are the lines of a file of the data.
func (e *evaluation) lines(path string) []string {
	e.Helper()
	f, err := os.Open(e.need(path))
	if err != nil {
		e.Fatal(err)
	}
	defer f.Close()
	var list []string
	s := bufio.NewScanner(f)
	for s.Scan() {
		list = append(list, s.Text())
	}
	if err := s.Err(); err != nil || len(list) == 0 {
		e.Fatalf("%s: %d lines: %v", path, len(list), err)
	}
	return list
}

// tinyImages are the official validation images of Tiny-ImageNet. Its classes are
// numbered in the order of their WordNet ids.
func (e *evaluation) tinyImages() (list []labelled) {
	e.Helper()
	const root = "tiny-imagenet-200/"
	wnids := e.lines(root + "wnids.txt")
	slices.Sort(wnids)
	for _, line := range e.lines(root + "val/val_annotations.txt") {
		f := strings.Split(line, "\t")
		if len(f) < 2 || !slices.Contains(wnids, f[1]) {
			e.Fatalf("val_annotations.txt: %q", line)
		}
		list = append(list, labelled{e.need(root + "val/images/" + f[0]), slices.Index(wnids, f[1])})
	}
	return list
}

// placesImages are the official validation images of MiniPlaces, numbered by the set.
func (e *evaluation) placesImages() (list []labelled) {
	e.Helper()
	const root = "miniplaces/data/"
	for _, line := range e.lines(root + "val.txt") {
		f := strings.Fields(line)
		if len(f) != 2 {
			e.Fatalf("val.txt: %q", line)
		}
		n, err := strconv.Atoi(f[1])
		if err != nil {
			e.Fatalf("val.txt: %q", line)
		}
		list = append(list, labelled{e.need(root + "images/" + f[0]), n})
	}
	return list
}

// described is a picture with sentences about it.
type described struct {
	file     string
	captions []string
}

// flickr unpacks the 1,000 test images of Flickr8k's official split, with their captions.
func (e *evaluation) flickr() []*described {
	e.Helper()
	f, err := os.Open(e.need("flickr8k.tar"))
	if err != nil {
		e.Fatal(err)
	}
	defer f.Close()
	dir := e.TempDir()
	captions := map[string][]string{}
	test := map[string]bool{}
	var list []*described
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			if len(list) == 0 || len(list) != len(test) {
				e.Fatalf("flickr8k.tar: %d test images of %d", len(list), len(test))
			}
			return list
		}
		if err != nil {
			e.Fatalf("flickr8k.tar: %v", err)
		}
		switch {
		case h.Name == "captions.csv":
			for _, row := range e.table(r, "image", "caption_index", "caption") {
				captions[row[0]] = append(captions[row[0]], row[2])
			}
		case h.Name == "split.csv":
			for _, row := range e.table(r, "image", "split") {
				if row[1] == "test" {
					test[row[0]] = true
				}
			}
		case test[h.Name]:
			file := filepath.Join(dir, strings.ReplaceAll(h.Name, "/", "-"))
			data, err := io.ReadAll(r)
			if err != nil {
				e.Fatalf("flickr8k.tar: %v", err)
			}
			if err := os.WriteFile(file, data, 0o600); err != nil {
				e.Fatal(err)
			}
			list = append(list, &described{file, captions[h.Name]})
		}
	}
}

// table reads the rows of a CSV with the given header.
func (e *evaluation) table(r io.Reader, header ...string) [][]string {
	e.Helper()
	rows, err := csv.NewReader(r).ReadAll()
	if err != nil || len(rows) < 2 || !slices.Equal(rows[0], header) {
		e.Fatalf("%v: %d rows: %v", header, len(rows), err)
	}
	return rows[1:]
}
