// Package speech2face tells voices apart and draws a statistical illustration of
// each, as Speech2Face does (Oh et al., 2019): a face that tends to go with such a
// voice in the training data, not a likeness of anybody. Every face carries
// [infer.FaceNotice], and nothing here runs unless somebody asked for it: the
// command then makes a [Family] and hands it to the speech gate.
//
//	faces, err := speech2face.New(speech2face.Config{
//		Model:    model, // of the pack: graphs "encoder" and "decoder"
//		Info:     info,
//		Sessions: map[string]infer.Session{"encoder": enc, "decoder": dec},
//	})
//	f, err := speech.New(speech.Config{…, Voices: faces})
//
// The gate hands over speech alone, so silence and music never get here. See Note
// [Turns] for what becomes of it. Tensors are pooled by the family; faces own
// their memory.
package speech2face

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/models"
)

// Config is what New needs. The zero value of an option is its default.
type Config struct {
	Model    models.Model
	Info     infer.Info
	Labels   map[string][]string      // not used
	Sessions map[string]infer.Session // "encoder" and "decoder"; they stay the caller's

	// MinSpeech is the shortest turn that gets a face. The default is the
	// manifest's min_samples (3 s); below that, the speech is repeated up to
	// there and the event flagged as short.
	MinSpeech time.Duration
	MaxVoices int // voices remembered in a Seg; the one not heard for longest makes room; 64
}

const (
	defaultMaxVoices = 64
	// leastPart of the window is the shortest input where the manifest does not
	// say: 3 s of 6 s.
	leastPart = 2
)

// Family illustrates voices with one model. It implements [infer.Voices].
type Family struct {
	info      infer.Info
	rate      int
	piece     int   // samples of the pieces in which voices are told apart
	most      int   // samples a face is made from
	fixed     int   // samples the graph takes, 0 if it takes any from piece on
	minSpeech int64 // samples
	maxVoices int
	sameVoice float64 // 0: voices are not told apart
	packer    *infer.WavePacker
	spectrum  *infer.Spectrogram
	encoder   encoder
	decoder   decoder
	works     *infer.Free[work]
}

type encoder struct {
	session     infer.Session
	out, toFace int // number of outputs, index of the feature
}

type decoder struct {
	session    infer.Session
	out, toPix int
}

// work is the memory of one run of each network.
type work struct {
	pcm      []float32
	spectrum infer.Tensor
	data     []float32 // of spectrum, at its largest
	feature  infer.Tensor
	texture  infer.Tensor
	in       [1]*infer.Tensor
	encOut   []*infer.Tensor
	decOut   []*infer.Tensor
}

// New makes the family of a model, and refuses one whose manifest or graphs do
// not fit the contract.
func New(c Config) (*Family, error) {
	f, err := build(c)
	if err != nil {
		return nil, fmt.Errorf("speech2face: model %s: %w", c.Model.Name, err)
	}
	return f, nil
}

func build(c Config) (*Family, error) {
	m := c.Model
	f := &Family{
		info:      c.Info,
		rate:      m.Audio.Rate,
		piece:     m.Audio.MinSamples,
		maxVoices: c.MaxVoices,
		sameVoice: m.Gate.SameVoice,
	}
	if f.maxVoices < 1 {
		f.maxVoices = defaultMaxVoices
	}
	if !(f.sameVoice >= 0 && f.sameVoice <= 1) {
		return nil, fmt.Errorf("same_voice %v is no cosine from 0 to 1", f.sameVoice)
	}
	var err error
	if f.most, err = infer.WindowSamples(m.Audio); err != nil {
		return nil, err
	}
	if f.piece == 0 {
		f.piece = f.most / leastPart
	}
	if f.piece < 1 || f.piece > f.most {
		return nil, fmt.Errorf("min_samples %d where the window has %d", f.piece, f.most)
	}
	if f.spectrum, err = infer.NewSpectrogram(m.Audio); err != nil {
		return nil, err
	}
	if f.spectrum.Frames(f.piece) == 0 {
		return nil, fmt.Errorf("min_samples %d give no spectrogram", f.piece)
	}
	if err = f.ports(m.Graphs, c.Sessions); err != nil {
		return nil, err
	}
	f.minSpeech = int64(f.piece)
	if c.MinSpeech > 0 {
		f.minSpeech = ingest.Samples(c.MinSpeech, f.rate)
	}
	audio := m.Audio
	audio.MinSamples = max(f.piece, f.fixed)
	if f.packer, err = infer.NewWavePacker(audio); err != nil {
		return nil, err
	}
	longest := max(f.most, f.fixed)
	f.works = infer.NewFree(func() *work {
		w := &work{
			pcm:    make([]float32, longest),
			data:   make([]float32, f.spectrum.Len(longest)),
			encOut: make([]*infer.Tensor, f.encoder.out),
			decOut: make([]*infer.Tensor, f.decoder.out),
		}
		w.encOut[f.encoder.toFace] = &w.feature
		w.decOut[f.decoder.toPix] = &w.texture
		return w
	})
	return f, nil
}

// ports finds the graphs' tensors and holds their shapes to the manifest.
func (f *Family) ports(graphs map[string]models.Graph, sessions map[string]infer.Session) error {
	for _, role := range []string{"encoder", "decoder"} {
		if sessions[role] == nil {
			return fmt.Errorf("no session for its %s", role)
		}
		if n := len(sessions[role].Inputs()); n != 1 {
			return fmt.Errorf("%s takes %d inputs where 1 is given", role, n)
		}
	}
	enc, dec := sessions["encoder"], sessions["decoder"]
	in, err := infer.NeedPort(enc.Inputs(), graphs["encoder"].Inputs, "spectrogram", "float32", 4)
	if err != nil {
		return fmt.Errorf("encoder %w", err)
	}
	want := f.spectrum.Shape(1, f.most)
	for d, n := range enc.Inputs()[in].Shape {
		if n <= 0 || n == want[d] {
			continue
		}
		if d == 2 { // the graph takes one length only
			f.fixed = f.spectrum.Samples(int(n))
			if f.fixed > 0 && f.fixed <= 2*f.most {
				continue
			}
		}
		return fmt.Errorf("encoder takes a spectrogram of %v where the manifest's front end gives %v", enc.Inputs()[in].Shape, want)
	}
	if n := enc.Inputs()[in].Shape[2]; n > 0 {
		f.fixed = f.spectrum.Samples(int(n))
		f.most = min(f.most, f.fixed)
		f.piece = min(f.piece, f.most)
	}
	f.encoder = encoder{session: enc, out: len(enc.Outputs())}
	if f.encoder.toFace, err = infer.NeedPort(enc.Outputs(), graphs["encoder"].Outputs, "face_feature", "float32", 2); err != nil {
		return fmt.Errorf("encoder %w", err)
	}
	din, err := infer.NeedPort(dec.Inputs(), graphs["decoder"].Inputs, "face_feature", "float32", 2)
	if err != nil {
		return fmt.Errorf("decoder %w", err)
	}
	a, b := enc.Outputs()[f.encoder.toFace].Shape[1], dec.Inputs()[din].Shape[1]
	if a > 0 && b > 0 && a != b {
		return fmt.Errorf("encoder gives features of %d values and decoder takes %d", a, b)
	}
	f.decoder = decoder{session: dec, out: len(dec.Outputs())}
	if f.decoder.toPix, err = infer.NeedPort(dec.Outputs(), graphs["decoder"].Outputs, "texture", "float32", 4); err != nil {
		return fmt.Errorf("decoder %w", err)
	}
	if n := dec.Outputs()[f.decoder.toPix].Shape[1]; n > 0 && n != 3 {
		return fmt.Errorf("decoder draws %d channels where 3 are needed", n)
	}
	return nil
}

// Models names the model.
func (f *Family) Models() []infer.Info { return []infer.Info{f.info} }

// Rate is the sample rate of the speech that listeners take.
func (f *Family) Rate() int { return f.rate }

// encode writes the face feature of pcm, which has at most the window's length,
// to dst.
func (f *Family) encode(ctx context.Context, dst, pcm []float32) ([]float32, error) {
	w := f.works.Take()
	defer f.works.Give(w)
	n := max(len(pcm), f.piece)
	if f.fixed > 0 {
		n = f.fixed
	}
	sound := w.pcm[:n]
	f.packer.Fill(sound, pcm)
	w.spectrum = infer.Tensor{Shape: f.spectrum.Shape(1, n), F32: w.data[:f.spectrum.Len(n)]}
	if err := f.spectrum.Pack(w.spectrum.F32, sound); err != nil {
		return dst, err
	}
	w.in[0] = &w.spectrum
	if err := f.encoder.session.Run(ctx, w.in[:], w.encOut); err != nil {
		return dst, err
	}
	for _, v := range w.feature.F32 {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return dst, fmt.Errorf("face feature holds what is no number")
		}
	}
	return append(dst[:0], w.feature.F32...), nil
}

// draw makes the face of a feature.
func (f *Family) draw(ctx context.Context, feature []float32) (*infer.Face, error) {
	w := f.works.Take()
	defer f.works.Give(w)
	in := infer.Tensor{Shape: []int64{1, int64(len(feature))}, F32: feature}
	w.in[0] = &in
	if err := f.decoder.session.Run(ctx, w.in[:], w.decOut); err != nil {
		return nil, err
	}
	t := &w.texture
	if len(t.Shape) != 4 || t.Shape[0] != 1 || t.Shape[1] != 3 || int64(len(t.F32)) != 3*t.Shape[2]*t.Shape[3] {
		return nil, fmt.Errorf("texture is %v where it should be [1 3 height width]", t.Shape)
	}
	h, width := int(t.Shape[2]), int(t.Shape[3])
	face := &infer.Face{W: width, H: h, Pix: make([]byte, 3*h*width), Notice: infer.FaceNotice}
	plane := h * width
	for c := range 3 {
		for i, v := range t.F32[c*plane:][:plane] {
			if v > 0 { // neither below nor no number
				face.Pix[3*i+c] = byte(min(v, 1)*255 + 0.5)
			}
		}
	}
	return face, nil
}
