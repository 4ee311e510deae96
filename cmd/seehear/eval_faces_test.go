//go:build eval

package main

import (
	"context"
	"math"
	"time"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/infer/ort"
	"github.com/seehear/seehear/infer/speech2face"
)

// faceJudge tells the apparent sex of a drawn face; models/train/face/judge.py.
const faceJudge = "../../models/train/testdata/speech2face_judge.onnx"

// judgeFaces draws a face for each take of the actors that the network has not heard, and
// recomputes how often the judge takes it for one of the speaker's sex: by take, and by
// actor over all takes.
func judgeFaces(e *evaluation) map[string]float64 {
	f, err := speech2face.New(speech2face.Config{
		Model: e.model, Info: e.open.info, Sessions: e.open.sessions, MinSpeech: time.Second,
	})
	if err != nil {
		e.Fatal(err)
	}
	session, err := e.runtime.Session(faceJudge, ort.SessionOptions{IntraOp: 1})
	if err != nil {
		e.Fatal(err)
	}
	defer session.Close()
	sum := map[int]float64{}
	takes, right := 0.0, 0.0
	for n := 1; n <= 24; n++ {
		if (n-1)/2%6 != 5 { // the last fold: see folds in models/train/face/voices.py
			continue
		}
		for _, c := range e.actors(func(actor int) bool { return actor == n }) {
			p := woman(e, session, e.face(f, spokenPart(e.pcm(c.file))))
			sum[n] += p
			takes++
			if (p > 0) == (n%2 == 0) { // women have even numbers
				right++
			}
		}
	}
	agree := 0.0
	for n, p := range sum {
		if (p > 0) == (n%2 == 0) {
			agree++
		}
	}
	e.Logf("%d actors, %.0f takes", len(sum), takes)
	return map[string]float64{"actors": agree / float64(len(sum)), "takes": right / takes}
}

// face is what the family draws for a stretch of speech.
func (e *evaluation) face(f *speech2face.Family, pcm []float32) *infer.Face {
	e.Helper()
	l := f.Open()
	turns, err := l.Speech(context.Background(), pcm, 1)
	if err == nil {
		var last []infer.Turn
		last, err = l.End(context.Background())
		turns = append(turns, last...)
	}
	if err != nil {
		e.Fatal(err)
	}
	for _, t := range turns {
		if t.Face != nil {
			return t.Face
		}
	}
	e.Fatalf("no face for %.1f s of speech", float64(len(pcm))/gateRate)
	return nil
}

// woman is the judge's logit of a woman's face.
func woman(e *evaluation, judge infer.Session, face *infer.Face) float64 {
	e.Helper()
	plane := face.W * face.H
	in := infer.Tensor{Shape: []int64{1, 3, int64(face.H), int64(face.W)}, F32: make([]float32, 3*plane)}
	for i := range plane {
		for c := range 3 {
			in.F32[c*plane+i] = float32(face.Pix[3*i+c]) / 255
		}
	}
	var out infer.Tensor
	if err := judge.Run(context.Background(), []*infer.Tensor{&in}, []*infer.Tensor{&out}); err != nil {
		e.Fatal(err)
	}
	return float64(out.F32[0])
}

// spokenPart is pcm from the first to the last 20 ms that are less than 40 dB under the
// loudest; see spoken in models/train/face/voices.py.
func spokenPart(pcm []float32) []float32 {
	const step = gateRate / 50
	n := len(pcm) / step
	level := make([]float64, n)
	loudest := math.Inf(-1)
	for i := range level {
		level[i] = 10 * math.Log10(power(pcm[i*step:][:step]))
		loudest = max(loudest, level[i])
	}
	first, last := n, 0
	for i, l := range level {
		if l > loudest-40 {
			first, last = min(first, i), i
		}
	}
	return pcm[first*step : (last+1)*step]
}
