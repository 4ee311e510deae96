//go:build eval

package main

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/infer/caption"
	"github.com/seehear/seehear/models"
)

// judgePictures recomputes how often the most likely object of an official validation
// image of Tiny-ImageNet is its class, and the most likely scene of one of MiniPlaces.
func judgePictures(e *evaluation) map[string]float64 {
	figures := map[string]float64{}
	for head, set := range map[string][]labelled{"objects": e.tinyImages(), "scenes": e.placesImages()} {
		var files []string
		for _, im := range set {
			files = append(files, im.file)
		}
		right := 0.0
		for i, p := range e.looks("graph", head, e.multipart(files), len(set)) {
			if slices.Index(p, slices.Max(p)) == set[i].class {
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
	f, err := caption.New(caption.Config{Model: e.model, Info: e.open.info, Vocabulary: e.open.vocabulary, Sessions: e.open.sessions, Every: caption.Every{Cadence: align.EveryFrame}, Live: true})
	if err != nil {
		e.Fatal(err)
	}
	file, images := e.flickr()
	said, references := make([][]string, len(images)), make([][][]string, len(images))
	for _, ev := range e.heard(file, f) {
		if c, ok := ev.Payload.(*infer.Caption); ok {
			said[ev.At/time.Second] = tokens(c.Text)
		}
	}
	for i, captions := range images {
		for _, s := range captions {
			references[i] = append(references[i], tokens(s))
		}
	}
	e.Logf("%d images", len(said))
	return map[string]float64{"bleu4": bleu4(said, references), "cider_d": ciderD(said, references)}
}

// judgeEmbedding recomputes recall at 10 among Flickr8k's test images and their
// sentences: a picture is right when one of its sentences is among the ten nearest, a
// sentence when its picture is.
func judgeEmbedding(e *evaluation) map[string]float64 {
	numbers := map[string]int64{}
	for i, w := range e.open.labels["vocabulary"] {
		numbers[w] = int64(i)
	}
	file, images := e.flickr()
	pictures := e.looks("picture", "embedding", file, len(images))
	var sentences [][]float32
	var owner []int
	for i, captions := range images {
		for _, s := range captions {
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

// looks runs the pipeline over a film of so many pictures and returns an output of a graph
// for each.
func (e *evaluation) looks(role, output, path string, pictures int) [][]float32 {
	e.Helper()
	f := &looking{session: e.open.sessions[role], need: infer.Need{Cadence: align.EveryFrame}}
	var err error
	if f.need.Image, err = infer.ImageSize(e.model.Image); err != nil {
		e.Fatal(err)
	}
	if f.packer, err = infer.NewImagePacker(e.model.Image); err != nil {
		e.Fatal(err)
	}
	if f.port, err = infer.NeedPort(f.session.Outputs(), e.model.Graphs[role].Outputs, output, "float32", 2); err != nil {
		e.Fatal(err)
	}
	e.heard(path, f)
	if len(f.seen) != pictures {
		e.Fatalf("%s: %d pictures were seen of %d", path, len(f.seen), pictures)
	}
	return f.seen
}

// looking is a family that keeps what a graph says of each picture.
type looking struct {
	session infer.Session
	packer  *infer.ImagePacker
	need    infer.Need
	port    int
	seen    [][]float32
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
	out[f.port] = &infer.Tensor{}
	if err := f.session.Run(ctx, []*infer.Tensor{&in}, out); err != nil {
		return nil, err
	}
	return out[f.port].F32, nil
}

func (f *looking) Resolve(_ context.Context, _ infer.State, _ *align.Moment, out infer.Output) ([]infer.Event, error) {
	f.seen = append(f.seen, out.([]float32))
	return nil, nil
}
func (f *looking) Finish(context.Context, infer.State) ([]infer.Event, error) { return nil, nil }

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

// Note [Pictures as films]
//
// The program reads films, and formats of still pictures are none of them. But JPEGs one
// after the other are what a camera sends over HTTP, and what a lossy WebP holds is a key
// frame of VP8, so that sets of pictures become films without one of them being decoded.

// multipart writes a film of JPEGs, as multipart/x-mixed-replace.
func (e *evaluation) multipart(files []string) string {
	e.Helper()
	path := filepath.Join(e.TempDir(), "pictures.mpjpeg")
	f, err := os.Create(path)
	if err != nil {
		e.Fatal(err)
	}
	defer f.Close()
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			e.Fatal(err)
		}
		if _, err := fmt.Fprintf(f, "--picture\r\nContent-type: image/jpeg\r\nContent-length: %d\r\n\r\n%s\r\n", len(data), data); err != nil {
			e.Fatal(err)
		}
	}
	return path
}

// ivf writes a film of WebPs of one size, a second each.
func (e *evaluation) ivf(pictures [][]byte, side int) string {
	e.Helper()
	le := binary.LittleEndian
	film := append([]byte("DKIF"), 0, 0, 32, 0)
	film = append(film, "VP80"...)
	film = le.AppendUint16(le.AppendUint16(film, uint16(side)), uint16(side))
	film = le.AppendUint32(le.AppendUint32(film, 1), 1) // units of a second
	film = le.AppendUint64(film, uint64(len(pictures)))
	for i, data := range pictures {
		if len(data) < 20 || string(data[8:16]) != "WEBPVP8 " || int(le.Uint32(data[16:])) > len(data)-20 {
			e.Fatalf("picture %d is no lossy WebP", i)
		}
		frame := data[20:][:le.Uint32(data[16:])]
		film = le.AppendUint64(le.AppendUint32(film, uint32(len(frame))), uint64(i))
		film = append(film, frame...)
	}
	path := filepath.Join(e.TempDir(), "pictures.ivf")
	if err := os.WriteFile(path, film, 0o600); err != nil {
		e.Fatal(err)
	}
	return path
}

// flickrSide is that of the pictures in flickr8k.tar.
const flickrSide = 144

// flickr returns a film of the 1,000 test images of Flickr8k's official split, and their
// captions.
func (e *evaluation) flickr() (film string, images [][]string) {
	e.Helper()
	f, err := os.Open(e.need("flickr8k.tar"))
	if err != nil {
		e.Fatal(err)
	}
	defer f.Close()
	captions := map[string][]string{}
	test := map[string]bool{}
	var pictures [][]byte
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
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
			data, err := io.ReadAll(r)
			if err != nil {
				e.Fatalf("flickr8k.tar: %v", err)
			}
			pictures, images = append(pictures, data), append(images, captions[h.Name])
		}
	}
	if len(images) == 0 || len(images) != len(test) {
		e.Fatalf("flickr8k.tar: %d test images of %d", len(images), len(test))
	}
	return e.ivf(pictures, flickrSide), images
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
