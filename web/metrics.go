package web

import (
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/seehear/seehear/web/hub"
)

// Metrics is what GET /metrics says, on a registry of its own: the sources as the
// hub knows them at that moment, the times of inference, the process. It is safe
// for concurrent use.
type Metrics struct {
	registry  *prometheus.Registry
	inference *prometheus.HistogramVec
	requests  *prometheus.CounterVec
}

func newMetrics(opt *Options) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		inference: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "seehear_inference_seconds", Help: "Time of one call of a network.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}, []string{"model"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "seehear_http_requests_total", Help: "Requests answered, by route and status.",
		}, []string{"route", "code"}),
	}
	m.registry.MustRegister(
		m.inference, m.requests, &sources{opt.Hub, opt.Ring, opt.Handles},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Inference counts one call of a network.
func (m *Metrics) Inference(model string, d time.Duration) {
	m.inference.WithLabelValues(model).Observe(d.Seconds())
}

// Register adds what another package measures.
func (m *Metrics) Register(c prometheus.Collector) error { return m.registry.Register(c) }

func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// sources reads the hub at each scrape.
type sources struct {
	hub     *hub.Hub
	ring    Ring // may be nil
	handles func() map[string]int
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("seehear_"+name, help, labels, nil)
}

var (
	descState      = describe("source_state", "1 for the state that the source is in.", "source", "state")
	descFPS        = describe("source_fps", "Frames decoded a second.", "source")
	descLag        = describe("source_lag_seconds", "Time from the arrival of what the newest result needed to the result.", "source")
	descLagP       = describe("source_lag_p95_seconds", "The 95th percentile of the lag over the last while.", "source")
	descOffset     = describe("source_av_offset_seconds", "Sound against picture, as the sender reports it.", "source")
	descDrift      = describe("source_drift_ppm", "Drift between the clocks of sound and picture.", "source")
	descError      = describe("source_alignment_error_seconds", "Error of alignment of sound and picture.", "source")
	descMissing    = describe("source_stream_missing", "1 while nothing comes of a stream that a running source has.", "source", "kind")
	descReconnects = describe("source_reconnects_total", "How often the source was lost and found again.", "source")
	descDropped    = describe("source_dropped_total", "What was dropped, by stage.", "source", "stage")
	descViewers    = describe("source_viewers", "Viewers of the results.", "source")
	descRing       = describe("ring_bytes", "Size on disk of what can be played again.", "source")
	descRingFailed = describe("ring_failed_segments_total", "Segments that could not be written.", "source")
	descHandles    = describe("c_handles", "Handles of C that are open.", "kind")
)

var states = []hub.State{hub.Connecting, hub.Running, hub.Waiting, hub.Failed}

// Describe implements prometheus.Collector.
func (s *sources) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descState, descFPS, descLag, descLagP, descOffset, descDrift, descError, descMissing, descReconnects, descDropped, descViewers, descRing, descRingFailed, descHandles,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s *sources) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	for _, src := range s.hub.Sources() {
		in := src.Info()
		st := &in.Status
		for _, state := range states {
			v := 0.0
			if state == st.State || st.State == "" && state == hub.Connecting {
				v = 1
			}
			gauge(descState, v, in.Name, string(state))
		}
		gauge(descFPS, st.FPS, in.Name)
		gauge(descLag, st.Lag.Seconds(), in.Name)
		gauge(descLagP, st.LagP.Seconds(), in.Name)
		if y := st.Sync; y != nil {
			if y.Reported {
				gauge(descOffset, y.Offset.Seconds(), in.Name)
				gauge(descDrift, y.DriftPPM, in.Name)
			}
			gauge(descError, y.Error.Seconds(), in.Name)
		}
		for _, stream := range in.Streams {
			v := 0.0
			if slices.Contains(st.Missing, stream.Kind) {
				v = 1
			}
			gauge(descMissing, v, in.Name, stream.Kind.String())
		}
		counter(descReconnects, float64(st.Reconnects), in.Name)
		for stage, n := range st.Drops {
			if stage != "viewer" && stage != "ring" {
				counter(descDropped, float64(n), in.Name, stage)
			}
		}
		counter(descDropped, float64(in.Lost), in.Name, "viewer")
		gauge(descViewers, float64(in.Viewers), in.Name)
		if s.ring == nil {
			continue
		}
		if st, ok := s.ring.Stats(in.Name); ok {
			gauge(descRing, float64(st.Bytes), in.Name)
			counter(descRingFailed, float64(st.Failed), in.Name)
			counter(descDropped, float64(st.Dropped), in.Name, "ring")
		}
	}
	if s.handles != nil {
		for kind, n := range s.handles() {
			gauge(descHandles, float64(n), kind)
		}
	}
}
