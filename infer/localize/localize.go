// Package localize says where in the picture the sound seems to come from.
//
// Two networks (LVS, EZ-VSL and their kin) embed the picture, cell by cell, and
// the sound around it in one space; a cell's cosine with the sound is how much it
// looks like what is heard. The networks run in sessions that the caller owns;
// the dot product, the enlargement, the smoothing in time and the gates are
// here, so that every model of the kind gets them alike.
//
// The command makes one [Family] per model and the pipeline of package seehear
// calls it:
//
//	f, err := localize.New(localize.Config{
//		Model:    model, // of the pack: graphs "image" and "audio"
//		Info:     info,
//		Sessions: map[string]infer.Session{"image": image, "audio": audio},
//	})
//
// The scale of a heat map is fixed by the model's calibrated floor and ceiling.
// It is never stretched to the frame's own minimum and maximum, which would
// paint the strongest piece of noise as a hot spot: what is below the floor is
// zero.
//
// Tensors are pooled by the family. Events own their grids.
package localize

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/models"
)

// Config is what New needs. The zero value of an option is its default.
type Config struct {
	Model    models.Model
	Info     infer.Info
	Labels   map[string][]string      // not used: places have no names
	Sessions map[string]infer.Session // "image" and "audio"; they stay the caller's

	FPS      float64       // heat maps per second of media; 5
	Live     bool          // the window of sound ends at the frame instead of being centred on it
	GridW    int           // cells of the heat map across the whole frame; 28
	GridH    int           // and down; 28
	HalfLife time.Duration // of the smoothing in time; 400 ms, negative for none
	// CutBelow is the cosine between the mean embeddings of successive pictures
	// below which the scene is taken to have changed, so that the map before is
	// forgotten; 0.6, negative for never.
	CutBelow float64
}

const (
	defaultFPS      = 5
	defaultGrid     = 28
	defaultHalfLife = 400 * time.Millisecond
	defaultCutBelow = 0.6
	defaultSilence  = -60 // dBFS

	maxGrid = 512
	maxFPS  = 1000
)

// Family localizes with one model.
type Family struct {
	info   infer.Info
	need   infer.Need
	packer *infer.ImagePacker
	wave   *infer.WavePacker
	sound  spectrogram
	image  imagePorts
	audio  audioPorts

	silence  float64 // RMS in [0, 1] below which there is nothing to localize
	heat     heat
	method   string
	halfLife time.Duration
	cutBelow float64

	imageDims atomic.Pointer[dims] // of the image graph's output, once known
	cache     cache
	works     *infer.Free[work]
	outputs   *infer.Free[output]
}

// spectrogram is the front end of the sound encoder.
type spectrogram interface {
	Shape(n, samples int) []int64
	Len(samples int) int
	Pack(dst, pcm []float32) error
}

func newSpectrogram(a models.Audio) (spectrogram, error) {
	if a.STFT.Kind != "log-psd" {
		return nil, fmt.Errorf("spectrogram kind %q where log-psd is known", a.STFT.Kind)
	}
	return infer.NewSpectrogram(a)
}

// dims is the shape of one picture's embedding.
type dims struct{ depth, h, w int }

func (d dims) cells() int { return d.h * d.w }

// New makes the family of a model, and refuses one whose manifest or graphs do
// not fit the contract.
func New(c Config) (infer.Family, error) {
	f, err := build(c, newSpectrogram)
	if err != nil {
		return nil, fmt.Errorf("localize: model %s: %w", c.Model.Name, err)
	}
	return f, nil
}

func build(c Config, front func(models.Audio) (spectrogram, error)) (*Family, error) {
	m := c.Model
	f := &Family{
		info:     c.Info,
		halfLife: c.HalfLife,
		cutBelow: c.CutBelow,
		method:   m.Heat.Method,
	}
	if f.halfLife == 0 {
		f.halfLife = defaultHalfLife
	}
	if f.cutBelow == 0 {
		f.cutBelow = defaultCutBelow
	}
	switch f.method {
	case "":
		f.method = "semantic"
	case "semantic", "sync":
	default:
		return nil, fmt.Errorf("heat method %q is neither semantic nor sync", f.method)
	}
	quiet := m.Gate.RMS
	if quiet == 0 {
		quiet = defaultSilence
	}
	f.silence = infer.Amplitude(quiet)

	var err error
	if f.need, err = needOf(c); err != nil {
		return nil, err
	}
	if f.heat, err = heatOf(c); err != nil {
		return nil, err
	}
	if f.packer, err = infer.NewImagePacker(m.Image); err != nil {
		return nil, err
	}
	if f.wave, err = infer.NewWavePacker(m.Audio); err != nil {
		return nil, err
	}
	if f.sound, err = front(m.Audio); err != nil {
		return nil, err
	}
	if f.sound.Len(f.need.Window) == 0 {
		return nil, fmt.Errorf("audio window of %d samples is shorter than one frame of the spectrogram", f.need.Window)
	}
	if f.image, err = imagePortsOf(c.Sessions["image"], m.Graphs["image"], f.packer.Shape(1)); err != nil {
		return nil, fmt.Errorf("graph image: %w", err)
	}
	if f.audio, err = audioPortsOf(c.Sessions["audio"], m.Graphs["audio"], f.sound.Shape(1, f.need.Window)); err != nil {
		return nil, fmt.Errorf("graph audio: %w", err)
	}
	switch {
	case !f.heat.useObject:
		f.image.objectness = -1 // nobody looks at it
	case f.image.objectness < 0:
		return nil, fmt.Errorf("heat: alpha %v leaves weight for objectness, which graph image does not give", f.heat.alpha)
	}
	if d, ok := f.image.fixed(); ok {
		if a := f.audio.depth(); a > 0 && a != d.depth {
			return nil, fmt.Errorf("image cells have %d values and the sound has %d", d.depth, a)
		}
		f.imageDims.Store(&d)
	}
	f.works = infer.NewFree(f.newWork)
	f.outputs = infer.NewFree(func() *output { return new(output) })
	return f, nil
}

func needOf(c Config) (infer.Need, error) {
	m := c.Model
	size, err := infer.ImageSize(m.Image)
	if err != nil {
		return infer.Need{}, err
	}
	window, err := infer.WindowSamples(m.Audio)
	if err != nil {
		return infer.Need{}, err
	}
	if window < m.Audio.MinSamples {
		return infer.Need{}, fmt.Errorf("audio window of %d samples, and the graph takes no less than %d", window, m.Audio.MinSamples)
	}
	fps := c.FPS
	if fps == 0 {
		fps = defaultFPS
	}
	if !(fps > 0 && fps <= maxFPS) {
		return infer.Need{}, fmt.Errorf("%v heat maps per second; above 0 and up to %d are possible", c.FPS, maxFPS)
	}
	need := infer.Need{
		Cadence: align.EveryPeriod,
		Period:  time.Duration(math.Round(float64(time.Second) / fps)),
		Image:   size,
		Sound:   decode.Sound{Rate: m.Audio.Rate, Channels: 1},
		Window:  window,
		Place:   align.Centre,
	}
	if c.Live {
		need.Place = align.End
	}
	return need, nil
}

// Models names the model.
func (f *Family) Models() []infer.Info { return []infer.Info{f.info} }

// Need asks for a picture and the sound around it, [Config.FPS] times a second.
func (f *Family) Need() infer.Need { return f.need }
