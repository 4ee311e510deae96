package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/seehear/seehear/infer"
	"github.com/seehear/seehear/infer/caption"
	"github.com/seehear/seehear/infer/localize"
	"github.com/seehear/seehear/infer/ort"
	"github.com/seehear/seehear/infer/soundnet"
	"github.com/seehear/seehear/infer/speech"
	"github.com/seehear/seehear/infer/speech2face"
	"github.com/seehear/seehear/infer/sync"
	"github.com/seehear/seehear/models"
)

// familyFlags choose the models and how often each family looks.
type familyFlags struct {
	Models       string  `default:"default" placeholder:"DIR" help:"A model pack: its folder, the name of one that is installed, or none."`
	Faces        bool    `help:"Illustrate voices as faces: a statistical illustration, never a likeness."`
	CaptionEvery string  `name:"caption-every" default:"scene" placeholder:"frame|scene|2s" help:"When to caption (${default}: at cuts, and every 10 s where the picture has changed)."`
	Beam         int     `default:"0" placeholder:"N" help:"Beam width of captions; 1 is greedy, 0 the model's own."`
	Localize     string  `default:"" enum:",semantic,sync,both" placeholder:"semantic|sync|both" help:"How to find what sounds: by what it looks like (semantic, needs a model), by what moves with the sound (sync, needs none), or both, each drawn in its own colours. By default both, and neither with --models none, where only --localize sync turns it on."`
	LocalizeFPS  float64 `name:"localize-fps" default:"5" placeholder:"N" help:"Heat maps per second of media (${default})."`
	SoundsTop    int     `name:"sounds-top" default:"5" placeholder:"N" help:"Classes reported per head (${default})."`
	Threads      int     `name:"ort-threads" default:"1" placeholder:"N" help:"Threads of ONNX Runtime within one operator (${default}); inputs and moments run side by side anyway."`
}

// network is a loaded pack: its families, and everything to close behind them.
type network struct {
	pack     *models.Pack
	families []infer.Family
	infos    []infer.Info
	runtime  *ort.Runtime
	sessions []infer.Session
	live     bool
}

// check parses the flags that kong does not check.
func (f familyFlags) check() (caption.Every, error) {
	every, err := caption.ParseEvery(f.CaptionEvery)
	switch {
	case err != nil:
		return every, fmt.Errorf("--caption-every: %w", err)
	case f.Beam < 0 || f.Beam > 64:
		return every, fmt.Errorf("--beam %d: takes 0 to 64", f.Beam)
	case !(f.LocalizeFPS > 0 && f.LocalizeFPS <= 1000):
		return every, fmt.Errorf("--localize-fps %v: takes more than 0, up to 1000", f.LocalizeFPS)
	case f.SoundsTop < 1 || f.SoundsTop > 1000:
		return every, fmt.Errorf("--sounds-top %d: takes 1 to 1000", f.SoundsTop)
	case f.Threads < 1 || f.Threads > 256:
		return every, fmt.Errorf("--ort-threads %d: takes 1 to 256", f.Threads)
	}
	return every, nil
}

// load opens the pack's graphs and makes a family of each of its models. With
// --models none there are none, and ONNX Runtime is not touched; what needs no
// model runs then only if it is asked for by name. Live families look back alone,
// give out what they find at once, and share their graphs between sources.
func (f familyFlags) load(library string, live bool) (net *network, err error) {
	net = &network{live: live}
	every, err := f.check()
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	if f.Models == "none" {
		switch f.Localize {
		case "":
			return net, nil
		case "sync", "both":
			return net, net.sync(f.LocalizeFPS)
		}
		return nil, &exitError{exitUsage, fmt.Errorf("--localize %s needs a model, and --models none has none", f.Localize)}
	}
	dir, err := findPack(f.Models)
	if err != nil {
		return nil, err
	}
	if net.pack, err = models.Load(dir); err != nil {
		return nil, err
	}
	defer func(opened *network) { // a return of nil, err empties net
		if err != nil {
			_ = opened.close()
		}
	}(net)
	if err = net.pack.Verify(); err != nil {
		return nil, err
	}
	if net.runtime, err = ort.Open(ort.Options{Library: library}); err != nil {
		return nil, err
	}
	var gate, face *loaded
	for _, m := range net.pack.Models {
		switch {
		case m.Family == "pictures", m.Family == "embedding": // for programs that load the pack; nothing here runs them
			continue
		case m.Family == "speech2face" && !f.Faces, m.Family == "localize" && f.Localize == "sync":
			continue
		}
		l, err := net.open(m, f.Threads)
		if err != nil {
			return nil, err
		}
		var family infer.Family
		switch m.Family {
		case "soundnet":
			family, err = soundnet.New(soundnet.Config{Model: m, Info: l.info, Labels: l.labels, Sessions: l.sessions, Top: f.SoundsTop})
		case "localize":
			family, err = localize.New(localize.Config{Model: m, Info: l.info, Labels: l.labels, Sessions: l.sessions, FPS: f.LocalizeFPS, Live: live})
		case "caption":
			family, err = caption.New(caption.Config{Model: m, Info: l.info, Vocabulary: l.vocabulary, Sessions: l.sessions, Every: every, Beam: f.Beam, Live: live})
		case "speech":
			gate = l
			continue
		case "speech2face":
			face = l
			continue
		default:
			return nil, fmt.Errorf("models: %s: model %s: unknown family %q", dir, m.Name, m.Family)
		}
		if err != nil {
			return nil, fmt.Errorf("models: %s: %w", dir, err)
		}
		net.add(family)
	}
	if f.Faces && (gate == nil || face == nil) {
		return nil, fmt.Errorf("--faces needs a speech gate and a speech2face model, and the pack %s lacks one", net.pack.Name)
	}
	if gate != nil {
		if err := net.speech(gate, face); err != nil {
			return nil, fmt.Errorf("models: %s: %w", dir, err)
		}
	}
	if f.Localize != "semantic" {
		if err := net.sync(f.LocalizeFPS); err != nil {
			return nil, err
		}
	}
	return net, nil
}

// sync adds the localization that needs no model.
func (n *network) sync(fps float64) error {
	family, err := sync.New(sync.Config{FPS: fps, Live: n.live})
	if err != nil {
		return err
	}
	n.add(family)
	return nil
}

// speech adds the speech gate, which hands what it finds to the faces, if they
// were asked for.
func (n *network) speech(gate, face *loaded) error {
	c := speech.Config{Model: gate.model, Info: gate.info, Sessions: gate.sessions}
	if face != nil {
		voices, err := speech2face.New(speech2face.Config{Model: face.model, Info: face.info, Sessions: face.sessions})
		if err != nil {
			return err
		}
		c.Voices = voices
	}
	family, err := speech.New(c)
	if err != nil {
		return err
	}
	n.add(family)
	return nil
}

func (n *network) add(f infer.Family) {
	n.families = append(n.families, f)
	n.infos = append(n.infos, f.Models()...)
}

// loaded is one model with its sessions.
type loaded struct {
	model      models.Model
	info       infer.Info
	labels     map[string][]string
	sessions   map[string]infer.Session
	vocabulary []byte
}

func (n *network) open(m models.Model, threads int) (*loaded, error) {
	l := &loaded{model: m, labels: map[string][]string{}, sessions: map[string]infer.Session{}, info: infer.Info{
		Family: m.Family, Name: m.Name, Version: m.Version, License: m.License, Fixture: n.pack.Fixture,
		SHA256: m.Digest(),
	}}
	roles := make([]string, 0, len(m.Graphs))
	for role := range m.Graphs {
		roles = append(roles, role)
	}
	slices.Sort(roles)
	for _, role := range roles {
		g := m.Graphs[role]
		opened, err := n.runtime.Session(n.pack.Path(g.File), ort.SessionOptions{IntraOp: threads})
		if err != nil {
			return nil, err
		}
		var s infer.Session = opened
		if n.live {
			s = infer.Batched(s, infer.BatchOptions{Parallel: runtime.GOMAXPROCS(0)})
		}
		n.sessions = append(n.sessions, s)
		l.sessions[role] = s
	}
	for name, file := range m.Labels {
		if m.Family == "caption" {
			var err error
			if l.vocabulary, err = os.ReadFile(n.pack.Path(file)); err != nil {
				return nil, fmt.Errorf("models: %w", err)
			}
			continue
		}
		labels, err := models.Labels(n.pack.Path(file))
		if err != nil {
			return nil, err
		}
		l.labels[name] = labels
	}
	return l, nil
}

// findPack returns the folder of a pack: the folder itself, or that of an
// installed pack of that name.
func findPack(name string) (string, error) {
	if isDir(name) {
		return name, nil
	}
	dir, looked := models.Find(name)
	if dir == "" {
		var places []string
		for _, p := range looked {
			places = append(places, p.Dir)
		}
		return "", fmt.Errorf("no model pack %q (looked in %s); name a folder with --models DIR, or go without by --models none", name, strings.Join(places, ", "))
	}
	return dir, nil
}

// close closes the sessions, then the runtime.
func (n *network) close() error {
	var errs []error
	for _, s := range slices.Backward(n.sessions) {
		errs = append(errs, s.Close())
	}
	if n.runtime != nil {
		errs = append(errs, n.runtime.Close())
	}
	n.sessions, n.runtime = nil, nil
	return errors.Join(errs...)
}
