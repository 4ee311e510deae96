package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seehear/seehear"
	"github.com/seehear/seehear/align"
	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/decode/ffmpeg"
	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/ingest/av"
	"github.com/seehear/seehear/ingest/live"
	"github.com/seehear/seehear/ingest/relay"
	"github.com/seehear/seehear/ingest/rtsp"
	"github.com/seehear/seehear/sinks"
	"github.com/seehear/seehear/sinks/jsonl"
	"github.com/seehear/seehear/web/hub"
	"github.com/seehear/seehear/web/ring"
	"github.com/seehear/seehear/web/rtc"
)

// How long a source waits that could not be run at all, from the first failure
// on; what can be reconnected to is ingest/live's.
const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// silence is after what time a stream of a source that runs counts as missing.
const silence = 5 * time.Second

// station runs one source: from the input over the feed, the ring and the
// networks to the hub and the disk, again and again until it is stopped.
type station struct {
	*serving
	name   string
	conf   sourceConfig
	cancel context.CancelFunc
	ended  chan struct{}

	feed *rtc.Feed
	out  *hub.Source
	ring *ring.Ring // nil without
	mon  *seehear.Monitor

	mu      sync.Mutex
	status  hub.Status // state, since, cause and reconnects
	relay   *relay.Relay
	skipped int64 // packets of relays before
	damage  func() ingest.Damage
	sync    func() ingest.Sync
	tapped  bool          // pictures are decoded at their size for viewers, too
	kinds   []ingest.Kind // of the streams that are decoded
	again   func()        // ends the run of the pipeline, for another that decodes what this one does not
	hold    time.Duration // sync-delay as it is now
}

// start begins the source; it ends when ctx does or cancel is called.
func (l *serving) start(ctx context.Context, name string, conf sourceConfig) (*station, error) {
	st := &station{serving: l, name: name, conf: conf, ended: make(chan struct{})}
	st.mon = &seehear.Monitor{Took: func(model string, d time.Duration) { l.web.Metrics().Inference(model, d) }}
	if l.store != nil {
		r, err := l.store.Source(name)
		if err != nil {
			return nil, err
		}
		st.ring = r
	}
	st.feed = rtc.NewFeed(rtc.FeedOptions{OnChange: st.media}) // not before somebody looks, or it has packets
	st.out = l.hub.Source(name, st.feed.RTPTime)
	if conf.Title != "" {
		st.out.SetTitle(conf.Title)
	}
	st.state(hub.Connecting, "")
	l.rtc.Add(name, rtc.Source{Feed: st.feed, Join: func() rtc.Messages { return st.out.Join(hub.JoinOptions{}) }})
	if conf.URL == publishURL {
		l.rtc.Accept(name)
	}
	ctx, st.cancel = context.WithCancel(ctx)
	go func() {
		defer close(st.ended)
		defer st.close()
		var ticking sync.WaitGroup
		ticking.Go(func() { st.tick(ctx) })
		st.run(ctx)
		ticking.Wait()
	}()
	return st, nil
}

func (st *station) close() {
	st.cancel()
	if st.conf.URL == publishURL {
		st.rtc.Refuse(st.name)
	}
	st.rtc.Remove(st.name)
	st.feed.Close()
	if st.ring != nil {
		if err := st.store.Remove(st.name); err != nil {
			st.log.Warn("the ring could not be removed", "source", st.name, "cause", err.Error())
		}
	}
}

// run runs the source until ctx ends, anew after each failure.
func (st *station) run(ctx context.Context) {
	wait := firstRetry
	for {
		began := time.Now()
		err := st.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("it has ended")
		}
		if time.Since(began) > lastRetry {
			wait = firstRetry
		}
		st.state(hub.Failed, ingest.Redact(oneLine(err.Error())))
		st.log.Error("source failed", "source", st.name, "cause", ingest.Redact(err.Error()), "again_in", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		wait = min(2*wait, lastRetry)
	}
}

// once opens the source and runs the pipeline over it until that ends.
func (st *station) once(ctx context.Context) error {
	src, err := st.open(ctx)
	if err != nil {
		return err
	}
	r := relay.New(src, relay.Options{Show: st.packet, Streams: st.streams})
	st.mu.Lock()
	st.relay, st.damage, st.sync = r, r.Damage, r.Sync
	st.mu.Unlock()
	defer func() {
		st.mu.Lock()
		st.relay = nil
		st.skipped += r.Skipped()
		st.mu.Unlock()
	}()
	for {
		again, err := st.pipeline(ctx, r)
		if !again {
			return errors.Join(err, r.Close())
		}
		r.Restart()
	}
}

// pipeline runs the pipeline over what the relay has, until it ends or something is
// to be decoded that this run does not decode: pictures at their size for an encoder,
// or a stream that has appeared. Nor does it wait for one that is gone. Then again is
// true.
func (st *station) pipeline(ctx context.Context, r *relay.Relay) (again bool, err error) {
	soft, stop := context.WithCancel(ctx)
	defer stop()
	st.mu.Lock()
	st.tapped, st.kinds, st.again = st.encodes(), kindsOf(r.Streams()), stop
	tap := &seehear.Tap{Sound: viewedSound}
	if st.tapped {
		tap.Size = viewedSize
	}
	st.mu.Unlock()
	var made *rtc.Transcoder
	defer func() {
		if made != nil {
			made.Close()
		}
	}()
	_, err = seehear.Run(context.WithoutCancel(ctx), seehear.Pipeline{
		Source: ingest.Redact(st.conf.URL),
		Open: func(_ context.Context, out decode.Outputs) (*decode.Reader, error) {
			dec, openErr := ffmpeg.New(r.Streams(), out, ffmpeg.Options{LowDelay: true, Threads: 1})
			if openErr != nil {
				return nil, openErr
			}
			made = st.transcoder(slices.Index(out.Sizes, tap.Size), slices.Index(out.Sounds, tap.Sound))
			tap.Unit = made.Unit
			return decode.NewReader(borrowed{r}, dec), nil
		},
		Families: st.net.families,
		Sinks:    st.sinks(),
		Cuts:     true,
		Gaps:     true,
		Fair:     st.fair,
		Monitor:  st.mon,
		Align:    align.Options{MaxLag: st.cmd.MaxLag},
		Tap:      tap,
		Soft:     soft.Done(),
	})
	return err == nil && ctx.Err() == nil && soft.Err() != nil, err
}

// borrowed is a relay that its reader does not close.
type borrowed struct{ *relay.Relay }

// Close does nothing.
func (borrowed) Close() error { return nil }

func (st *station) sinks() []sinks.Sink {
	list := []sinks.Sink{st.out}
	if dir := st.cmd.Record; dir != "" {
		list = append(list, jsonl.NewRotating(filepath.Join(dir, st.name), jsonl.Rotation{
			MaxBytes: st.cmd.RecordSize << 20, MaxAge: st.cmd.RecordAge, MaxFiles: st.cmd.RecordFiles,
		}))
	}
	return list
}

// open opens the source and holds on to it, or plays it in a loop.
func (st *station) open(ctx context.Context) (ingest.Source, error) {
	keep := func(open live.Opener, opt live.Options) (ingest.Source, error) {
		opt.OnState = st.phase
		return live.Keep(ctx, open, opt)
	}
	scheme := ""
	if u, err := url.Parse(st.conf.URL); err == nil && isURL(st.conf.URL) {
		scheme = strings.ToLower(u.Scheme)
	}
	file := func(ctx context.Context) (ingest.Source, error) {
		return av.Open(ctx, st.conf.URL, av.DefaultOptions())
	}
	switch {
	case st.conf.URL == publishURL:
		// A publisher may come at any time: waiting for one is no failure.
		return keep(func(ctx context.Context) (ingest.Source, error) { return st.rtc.Open(ctx, st.name) },
			live.Options{Connect: 24 * time.Hour})
	case scheme == "rtsp" || scheme == "rtsps":
		opt := rtsp.Options{Transport: map[string]rtsp.Transport{"": rtsp.Auto, "tcp": rtsp.TCP, "udp": rtsp.UDP, "auto": rtsp.Auto}[st.conf.Transport]}
		if st.conf.Insecure {
			opt.TLS = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // asked for
		}
		return keep(func(ctx context.Context) (ingest.Source, error) { return rtsp.Open(ctx, st.conf.URL, opt) }, live.Options{})
	case scheme != "" && scheme != "http" && scheme != "https" && scheme != "file":
		return keep(file, live.Options{})
	}
	// A file, or a playlist: whether it goes on by itself shows when it is open.
	src, err := file(ctx)
	if err != nil {
		return nil, err
	}
	goesOn := src.Live()
	if err = src.Close(); err != nil {
		return nil, err
	}
	if goesOn {
		return keep(file, live.Options{})
	}
	looped, err := live.Loop(ctx, file)
	if err != nil {
		return nil, err
	}
	st.state(hub.Running, "")
	return looped, nil
}

// streams and packet are what the relay shows.
func (st *station) streams(list []ingest.Stream) {
	st.feed.Streams(list)
	st.out.SetStreams(list)
	if st.ring != nil {
		st.ring.Streams(list)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.again != nil && !slices.Equal(st.kinds, kindsOf(list)) {
		st.again()
	}
}

// kindsOf returns the kinds of streams, in their order.
func kindsOf(list []ingest.Stream) []ingest.Kind {
	var kinds []ingest.Kind
	for _, s := range list {
		kinds = append(kinds, s.Kind)
	}
	slices.Sort(kinds)
	return kinds
}

func (st *station) packet(p *ingest.Packet) {
	st.feed.Packet(p)
	if st.ring != nil {
		st.ring.Packet(p)
	}
}

// media tells viewers what the tracks carry.
func (st *station) media() {
	m := st.feed.Media()
	st.out.Media(hub.Media{Video: string(m.Video), Audio: string(m.Audio), Transcoded: m.Transcoded, Note: m.Note})
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.again != nil && !st.tapped && st.encodes() {
		st.again()
	}
}

// phase takes a state of ingest/live.
func (st *station) phase(s live.State) {
	state := map[live.Phase]hub.State{live.Connecting: hub.Connecting, live.Running: hub.Running, live.Waiting: hub.Waiting}[s.Phase]
	if state == "" {
		return
	}
	st.mu.Lock()
	was := st.status
	st.status.State, st.status.Since, st.status.Cause, st.status.Reconnects = state, s.Since, s.Cause, s.Reconnects
	st.mu.Unlock()
	st.tell()
	if was.State != state || was.Cause != s.Cause {
		st.log.Info("source", "source", st.name, "state", string(state), "cause", s.Cause)
	}
}

// state sets a state that is not ingest/live's.
func (st *station) state(s hub.State, cause string) {
	st.mu.Lock()
	st.status.State, st.status.Since, st.status.Cause = s, time.Now(), cause
	st.mu.Unlock()
	st.tell()
}

// tick tells viewers how the source is doing, and moves the delay, each second.
func (st *station) tick(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		st.tell()
		st.follow()
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// tell hands the hub the whole status.
func (st *station) tell() {
	m := st.mon.Status()
	st.mu.Lock()
	s := st.status
	skipped := st.skipped
	if st.relay != nil {
		skipped += st.relay.Skipped()
	}
	damage, synced := st.damage, st.sync
	kinds := st.kinds
	st.mu.Unlock()
	if s.State == hub.Running {
		last := map[ingest.Kind]time.Time{ingest.Video: m.Seen, ingest.Audio: m.Heard}
		for _, k := range kinds {
			if time.Since(last[k]) > silence && time.Since(s.Since) > silence {
				s.Missing = append(s.Missing, k)
			}
		}
	}
	s.Edge, s.FPS, s.Lag, s.LagP, s.Speed = m.At, m.FPS, m.Lag, m.LagP95, m.Speed
	s.Drops = map[string]uint64{"packets": uint64(skipped)}
	for stage, n := range m.Drops {
		s.Drops[stage] = uint64(n)
	}
	if damage != nil {
		s.Drops["lost"] = uint64(damage().Lost)
	}
	if !m.Seen.IsZero() && !m.Heard.IsZero() { // there is something to be aligned
		s.Sync = &hub.Sync{Error: m.SkewP95}
		if synced != nil {
			y := synced()
			s.Sync.Reported, s.Sync.Offset, s.Sync.DriftPPM = y.Reports > 0, y.Offset, y.DriftPPM
		}
	}
	st.out.Status(s)
}

// Margins of the delay that is found by itself.
const (
	mostDelay   = time.Second
	delayMargin = 40 * time.Millisecond // from the result to the viewer
	delayStep   = 20 * time.Millisecond // less is not worth a change
)

// follow moves the delay to what holds the 95th percentile of the results that
// belong to a picture.
func (st *station) follow() {
	want, auto, err := parseDelay(*st.delay.Load())
	if err != nil {
		return
	}
	if auto {
		lag := st.mon.Status().PictureLagP95
		if lag > 0 {
			want = min(lag+delayMargin, mostDelay)
		}
		if (want - st.hold).Abs() < delayStep {
			return
		}
		if want < st.hold { // down slowly: it was needed a while ago
			want = st.hold - max((st.hold-want)/8, delayStep)
		}
	}
	if want == st.hold {
		return
	}
	st.hold = want
	st.feed.SetDelay(want)
	st.out.SetSyncDelay(want)
}
