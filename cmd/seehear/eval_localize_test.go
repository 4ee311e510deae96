//go:build eval

package main

import (
	"encoding/binary"
	"image"
	_ "image/jpeg"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/infer/localize"
)

// soundRate is that of the localizer's sound.
const soundRate = 22050

// Of the held-out mosaics: see Note [Held-out mosaics] in models/train/sounding/mosaics.py.
const (
	mosaics    = 2000
	mosaicSeed = 1
	tileSide   = 64
	heardLen   = 2 * soundRate
)

// judgeSources recomputes how often the best place of the heat map lies on the sounding
// one of four pictures; how often a map is lit then, and is right when it is; and how
// often it is lit where the sound goes with none of the four. Each mosaic becomes a file
// of four seconds, two with the one sound and two with the other, of which the maps in
// their middles count.
func judgeSources(e *evaluation) map[string]float64 {
	m := e.model
	floor := m.Gate.Floor
	m.Gate.Floor, m.Gate.Ceiling = -1, 1 // where the best place is, is wanted in the dark too
	f, err := localize.New(localize.Config{Model: m, Info: e.open.info, Sessions: e.open.sessions, FPS: 1, HalfLife: -1})
	if err != nil {
		e.Fatal(err)
	}
	pairs := e.soundPairs()
	pictures := e.pairedPictures(pairs)
	windows := map[string][][]float32{} // by sound, of the held-out clips in the order of their paths
	for _, c := range append(e.sounds(), e.actors(func(n int) bool { return n%5 == 0 })...) {
		windows[c.label] = append(windows[c.label], loudestPart(e.pcmAt(c.file, soundRate)))
	}
	path := filepath.Join(e.TempDir(), "mosaic.avi")
	look := func(pix []byte, with, without []float32) (maps [2]*infer.Heatmap) {
		writeAVI(e, path, 2*tileSide, 2*tileSide, pix, slices.Concat(with, without))
		for _, ev := range e.heard(path, f) {
			if h, ok := ev.Payload.(*infer.Heatmap); ok && !ev.Short && ev.At%(2*time.Second) == time.Second {
				maps[ev.At/(2*time.Second)] = h
			}
		}
		if maps[0] == nil || maps[1] == nil {
			e.Fatal("a mosaic has no heat map")
		}
		return maps
	}
	var right, lit, litRight, litWithout float64
	d := dice(mosaicSeed)
	for range mosaics {
		order := make([]int, len(pairs))
		for i := range order {
			order[i] = i
		}
		for i := range 5 {
			k := i + d.below(len(order)-i)
			order[i], order[k] = order[k], order[i]
		}
		pix := make([]byte, 3*4*tileSide*tileSide)
		for n, g := range order[:4] {
			class := pictures[g][d.below(len(pictures[g]))]
			e.paste(pix, n, class[d.below(len(class))])
		}
		sounding := d.below(4)
		draw := func(g int) []float32 {
			mine := windows[pairs[g].sounds[d.below(len(pairs[g].sounds))]]
			return mine[d.below(len(mine))]
		}
		with, without := draw(order[sounding]), draw(order[4])
		h := look(pix, with, without)
		hit := 0.0
		if h[0].Gated == "" && int(2*h[0].Y)*2+int(2*h[0].X) == sounding {
			hit = 1
		}
		right += hit
		if h[0].Gated == "" && h[0].Peak >= floor {
			lit++
			litRight += hit
		}
		if h[1].Gated == "" && h[1].Peak >= floor {
			litWithout++
		}
	}
	return map[string]float64{
		"tile":                right / mosaics,
		"lit":                 lit / mosaics,
		"lit_is_right":        litRight / lit,
		"lit_without_a_match": litWithout / mosaics,
	}
}

// dice is splitmix64.
type dice uint64

func (d *dice) below(n int) int {
	*d += 0x9E3779B97F4A7C15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return int((z ^ z>>31) % uint64(n))
}

// soundGroup is a group of models/train/sounding/pairs.csv.
type soundGroup struct {
	name     string
	sounds   []string
	pictures [][2]string // kind and class
}

// soundPairs are the groups that sound, in the order of the table.
func (e *evaluation) soundPairs() (groups []soundGroup) {
	e.Helper()
	for _, row := range e.sheet("../../models/train/sounding/pairs.csv", "group", "kind", "class") {
		if row[0] == "nothing" {
			continue
		}
		if len(groups) == 0 || groups[len(groups)-1].name != row[0] {
			groups = append(groups, soundGroup{name: row[0]})
		}
		g := &groups[len(groups)-1]
		if row[1] == "sound" {
			g.sounds = append(g.sounds, row[2])
		} else {
			g.pictures = append(g.pictures, [2]string{row[1], row[2]})
		}
	}
	return groups
}

// pairedPictures are, by group and class, the files of the official validation images
// in the order of their lists.
func (e *evaluation) pairedPictures(groups []soundGroup) [][][]string {
	e.Helper()
	files := map[[2]string][]string{}
	wnids := map[string]string{}
	for _, row := range e.sheet(e.need("tiny-imagenet-to-imagenet.csv"), "wnid", "imagenet_index", "name") {
		wnids[row[0]] = strings.Split(row[2], ",")[0]
	}
	for _, l := range e.lines("tiny-imagenet-200/val/val_annotations.txt") {
		part := strings.Split(l, "\t")
		key := [2]string{"objects", wnids[part[1]]}
		files[key] = append(files[key], filepath.Join(e.data, "tiny-imagenet-200/val/images", part[0]))
	}
	names := map[string]string{}
	for _, l := range e.lines("miniplaces/data/train.txt") {
		part := strings.Fields(l)
		names[part[1]] = strings.TrimPrefix(part[0][:strings.LastIndex(part[0], "/")], "train")
	}
	for _, l := range e.lines("miniplaces/data/val.txt") {
		part := strings.Fields(l)
		key := [2]string{"scenes", names[part[1]]}
		files[key] = append(files[key], filepath.Join(e.data, "miniplaces/data/images", part[0]))
	}
	found := make([][][]string, len(groups))
	for i, g := range groups {
		for _, class := range g.pictures {
			if len(files[class]) == 0 {
				e.Fatalf("no validation images of %s", class)
			}
			found[i] = append(found[i], files[class])
		}
	}
	return found
}

// paste puts a picture into the n-th tile of a mosaic.
func (e *evaluation) paste(pix []byte, n int, path string) {
	e.Helper()
	f, err := os.Open(path)
	if err != nil {
		e.Fatal(err)
	}
	defer f.Close()
	im, _, err := image.Decode(f)
	if err != nil {
		e.Fatalf("%s: %v", path, err)
	}
	b := im.Bounds()
	side := b.Dx() / tileSide // of the square whose mean a pixel is
	if b.Dx() != b.Dy() || side*tileSide != b.Dx() {
		e.Fatalf("%s: a picture of %v", path, b)
	}
	for y := range tileSide {
		for x := range tileSide {
			var sum [3]uint32
			for k := range side * side {
				r, g, b, _ := im.At(b.Min.X+x*side+k%side, b.Min.Y+y*side+k/side).RGBA()
				sum[0], sum[1], sum[2] = sum[0]+r>>8, sum[1]+g>>8, sum[2]+b>>8
			}
			at := 3 * ((n/2*tileSide+y)*2*tileSide + n%2*tileSide + x)
			for c, s := range sum {
				pix[at+c] = byte((s + uint32(side*side)/2) / uint32(side*side))
			}
		}
	}
}

// loudestPart is the two seconds of a clip that are heard.
func loudestPart(pcm []float32) []float32 {
	most, at := -1.0, 0
	for s := 0; s == 0 || s+heardLen <= len(pcm); s += soundRate / 4 {
		energy := 0.0
		for _, v := range pcm[s:min(len(pcm), s+heardLen)] {
			energy += float64(v) * float64(v)
		}
		if energy > most {
			most, at = energy, s
		}
	}
	out := make([]float32, heardLen)
	copy(out, pcm[at:])
	return out
}

// writeAVI writes a file of a still picture, RGB, a frame a second, and of whole seconds
// of sound.
func writeAVI(e *evaluation, path string, w, h int, pix []byte, pcm []float32) {
	e.Helper()
	frame := make([]byte, 0, len(pix)) // blue first, the lowest row first; rows of 4n bytes
	for y := h - 1; y >= 0; y-- {
		for x := range w {
			p := pix[3*(y*w+x):]
			frame = append(frame, p[2], p[1], p[0])
		}
	}
	size, seconds := uint32(len(frame)), uint32(len(pcm)/soundRate)
	video := riff("LIST", "strl",
		riff("strh", "vidsDIB ", u32s(0, 0, 0, 1, 1, 0, seconds, size, 0, 0, 0, 0)),
		riff("strf", "", u32s(40, uint32(w), uint32(h), 1|24<<16, 0, size, 0, 0, 0, 0)))
	sound := riff("LIST", "strl",
		riff("strh", "auds", u32s(0, 0, 0, 0, 4, 4*soundRate, 0, uint32(len(pcm)), 0, 0, 4, 0, 0)),
		riff("strf", "", u32s(3|1<<16, soundRate, 4*soundRate, 4|32<<16))) // floating point
	head := riff("LIST", "hdrl",
		riff("avih", "", u32s(1e6, 0, 0, 0, seconds, 0, 2, 0, uint32(w), uint32(h), 0, 0, 0, 0)), video, sound)
	var movie [][]byte
	for i := range int(seconds) {
		movie = append(movie, riff("01wb", "", f32s(pcm[i*soundRate:][:soundRate])), riff("00db", "", frame))
	}
	if err := os.WriteFile(path, riff("RIFF", "AVI ", head, riff("LIST", "movi", movie...)), 0o600); err != nil {
		e.Fatal(err)
	}
}

// riff is a chunk of the parts, after a name inside it.
func riff(id, name string, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	return slices.Concat([]byte(id), u32s(uint32(len(name)+len(body))), []byte(name), body)
}

func u32s(values ...uint32) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

func f32s(values []float32) []byte {
	b := make([]byte, 0, 4*len(values))
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}
