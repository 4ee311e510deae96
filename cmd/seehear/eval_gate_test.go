//go:build eval

package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/infer/speech"
)

const (
	gateRate   = 16000
	gateChunk  = 512
	gateChunks = 124 // of each mixture
)

// judgeGate recomputes the area under the ROC curve of the gate's posteriors over the
// chunks of held-out speech mixed with held-out sounds, and how much of the sounds alone
// it takes for speech. Labels and mixtures follow the notes Labels and Mixtures in
// models/train/audio/voices.py.
func judgeGate(e *evaluation) map[string]float64 {
	spy := &gateSpy{Session: e.open.sessions["gate"]}
	f, err := speech.New(speech.Config{Model: e.model, Info: e.open.info, Sessions: map[string]infer.Session{"gate": spy}})
	if err != nil {
		e.Fatal(err)
	}
	type spoken struct {
		set string
		pcm []float32
	}
	var voices []spoken
	for _, c := range e.actors(func(n int) bool { return n >= 20 }) {
		voices = append(voices, spoken{"ravdess", e.pcm(c.file)})
	}
	for _, words := range e.speakers()[4:6] {
		for j := range 40 {
			var pcm []float32
			for i := range 8 {
				pcm = append(pcm, make([]float32, gateRate/4)...)
				pcm = append(pcm, e.pcm(words[61*(8*j+i)%len(words)])...)
			}
			voices = append(voices, spoken{"fsdd", pcm})
		}
	}
	var sounds [][]float32
	sets := map[string][]int{}
	for _, c := range e.sounds() {
		if c.label == "children playing" || c.label == "street music" {
			continue // people talk and sing in these
		}
		sets[c.set] = append(sets[c.set], len(sounds))
		sounds = append(sounds, e.pcm(c.file))
	}
	path := filepath.Join(e.TempDir(), "mixture.wav")
	posteriors := func(pcm []float32) []float64 {
		writeWAV(e, path, pcm)
		spy.p = spy.p[:0]
		e.heard(path, f)
		if len(spy.p) < gateChunks {
			e.Fatalf("the gate heard %d chunks of %d", len(spy.p), gateChunks)
		}
		return spy.p[:gateChunks]
	}
	by := map[string][]chance{}
	for n, v := range voices {
		clean := repeated(v.pcm, false)
		on := spokenChunks(clean)
		for r := range 5 {
			sound := repeated(sounds[37*(5*n+r)%len(sounds)], true)
			for i, p := range posteriors(mix(clean, on, sound, float64(5*r))) {
				for _, k := range []string{"auc", "auc_" + v.set, fmt.Sprintf("auc_%ddb", 5*r)} {
					by[k] = append(by[k], chance{p, on[i]})
				}
			}
		}
	}
	got := map[string]float64{}
	for k, list := range by {
		got[k] = auc(list)
	}
	alarms, chunks := 0.0, 0.0
	for _, s := range sounds {
		for _, p := range posteriors(repeated(s, true)) {
			chunks++
			if p >= e.model.Gate.Enter {
				alarms++
			}
		}
	}
	got["false_alarms"] = alarms / chunks
	e.Logf("%d recordings of speech, %d sounds", len(voices), len(sounds))
	return got
}

// gateSpy is the gate's session, and notes what it says.
type gateSpy struct {
	infer.Session
	p []float64
}

func (s *gateSpy) Run(ctx context.Context, in, out []*infer.Tensor) error {
	err := s.Session.Run(ctx, in, out)
	for i, v := range s.Outputs() {
		if err == nil && v.Name == "output" {
			s.p = append(s.p, float64(out[i].F32[0]))
		}
	}
	return err
}

// speakers are the files of each speaker of the spoken digits, both in order of name.
func (e *evaluation) speakers() [][]string {
	e.Helper()
	files, err := filepath.Glob(filepath.Join(e.need("fsdd/recordings"), "*.wav"))
	if err != nil {
		e.Fatal(err)
	}
	by := map[string][]string{}
	for _, f := range files {
		who := strings.Split(strings.TrimSuffix(filepath.Base(f), ".wav"), "_")[1]
		by[who] = append(by[who], f)
	}
	var list [][]string
	for _, who := range slices.Sorted(keys(by)) {
		slices.Sort(by[who])
		list = append(list, by[who])
	}
	if len(list) != 6 {
		e.Fatalf("%d speakers of digits, and the card speaks of 6", len(list))
	}
	return list
}

// pcm is the sound of a file as the gate would hear it.
func (e *evaluation) pcm(path string) []float32 { return e.pcmAt(path, gateRate) }

// pcmAt is pcm at another rate.
func (e *evaluation) pcmAt(path string, rate int) []float32 {
	t := &tape{rate: rate}
	e.heard(path, t)
	return t.pcm
}

// tape is a family that keeps the sound.
type tape struct {
	rate int
	pcm  []float32
}

func (*tape) Models() []infer.Info { return nil }
func (t *tape) Need() infer.Need {
	return infer.Need{
		Cadence: align.EveryHop, Hop: t.rate, Window: t.rate, MinWindow: 1,
		Sound: decode.Sound{Rate: t.rate, Channels: 1},
	}
}
func (*tape) Open() infer.State { return nil }
func (*tape) Infer(context.Context, *align.Moment) (infer.Output, error) {
	return nil, nil
}

func (t *tape) Resolve(_ context.Context, _ infer.State, m *align.Moment, _ infer.Output) ([]infer.Event, error) {
	lo, hi := infer.RealSamples(m.Wave)
	t.pcm = append(t.pcm, m.Wave.PCM.Data[lo:hi]...)
	return nil, nil
}
func (*tape) Finish(context.Context, infer.State) ([]infer.Event, error) { return nil, nil }

// repeated is pcm cut to the length of a mixture, or filled up with itself or with
// nothing.
func repeated(pcm []float32, again bool) []float32 {
	out := make([]float32, gateChunks*gateChunk)
	copy(out, pcm)
	if again {
		for i := len(pcm); i < len(out); i++ {
			out[i] = pcm[i%len(pcm)]
		}
	}
	return out
}

func power(pcm []float32) float64 {
	sum := 0.0
	for _, v := range pcm {
		sum += float64(v) * float64(v)
	}
	return sum/float64(len(pcm)) + 1e-12
}

// spokenChunks says which chunks of clean speech are speech.
func spokenChunks(pcm []float32) []bool {
	rms := make([]float64, len(pcm)/gateChunk)
	for i := range rms {
		rms[i] = math.Sqrt(power(pcm[i*gateChunk:][:gateChunk]) - 1e-12)
	}
	sorted := slices.Sorted(slices.Values(rms))
	at := 0.95 * float64(len(sorted)-1)
	k := int(at)
	loud := sorted[k] + (at-float64(k))*(sorted[min(k+1, len(sorted)-1)]-sorted[k])
	on, last := make([]bool, len(rms)), -1
	for i, r := range rms {
		if r > loud*math.Pow(10, -25.0/20) && r > 1e-3 {
			if last >= 0 && i-last <= 4 {
				for j := last; j < i; j++ {
					on[j] = true
				}
			}
			on[i], last = true, i
		}
	}
	return on
}

// mix adds a sound so many decibels below the speech.
func mix(clean []float32, on []bool, sound []float32, snr float64) []float32 {
	var said []float32
	for i, s := range on {
		if s {
			said = append(said, clean[i*gateChunk:][:gateChunk]...)
		}
	}
	if len(said) == 0 {
		said = clean
	}
	gain := math.Sqrt(power(said) / power(sound) / math.Pow(10, snr/10))
	out, peak := make([]float32, len(clean)), float32(1)
	for i := range out {
		out[i] = clean[i] + sound[i]*float32(gain)
		peak = max(peak, max(out[i], -out[i]))
	}
	for i := range out {
		out[i] /= peak
	}
	return out
}

// chance is a posterior with the truth.
type chance struct {
	p    float64
	true bool
}

// auc is the probability that a true one has a higher posterior than a false one, half
// of it where they are equal.
func auc(list []chance) float64 {
	slices.SortFunc(list, func(a, b chance) int { return cmp.Compare(a.p, b.p) })
	pos, neg, sum := 0.0, 0.0, 0.0
	for i := 0; i < len(list); {
		p, n := 0.0, 0.0
		j := i
		for ; j < len(list) && list[j].p == list[i].p; j++ {
			if list[j].true {
				p++
			} else {
				n++
			}
		}
		sum += p*neg + p*n/2
		pos, neg, i = pos+p, neg+n, j
	}
	return sum / (pos * neg)
}

// writeWAV writes mono samples as 32-bit floats at the gate's rate.
func writeWAV(e *evaluation, path string, pcm []float32) {
	e.Helper()
	size := uint32(4 * len(pcm))
	var b []byte
	text := func(s string) { b = append(b, s...) }
	u32 := func(v uint32) { b = binary.LittleEndian.AppendUint32(b, v) }
	u16 := func(v uint16) { b = binary.LittleEndian.AppendUint16(b, v) }
	text("RIFF")
	u32(36 + size)
	text("WAVEfmt ")
	u32(16)
	u16(3) // IEEE float
	u16(1)
	u32(gateRate)
	u32(4 * gateRate)
	u16(4)
	u16(32)
	text("data")
	u32(size)
	for _, v := range pcm {
		u32(math.Float32bits(v))
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		e.Fatal(err)
	}
}
