package ring

import (
	"fmt"
	"strings"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4/seekablebuffer"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"

	"github.com/seehear/seehear/ingest"
)

// piece is one segment to be written, with the init segment that it needs.
type piece struct {
	init          []byte
	codecs        string
	width, height int
	rotation      int
	data          []byte
	at, dur       time.Duration
	seg           uint32
}

// sample is one packet, converted.
type sample struct {
	dts, pts, dur time.Duration
	key           bool
	data          []byte
}

// lane is the samples of one track in one segment.
type lane struct {
	conf
	samples []sample
}

// conf is what an init segment says of a track.
type conf struct {
	codec                   codecs.Codec // nil if it is not known
	name                    string
	rate                    int64 // ticks a second
	width, height, rotation int
}

// segment is what goes into one piece.
type segment struct {
	seg          uint32
	first, end   time.Duration // presented
	pictures     bool          // the source has a video
	video, audio lane
	number       uint32
	// Decoding times of the samples behind it, or NoTime: of those that lead, and
	// of the sound beside pictures.
	next, heard time.Duration
}

// leading is the lane that segments are cut by.
func (s *segment) leading() *lane {
	if s.pictures {
		return &s.video
	}
	return &s.audio
}

// piece writes the segment as MP4. A hole in the sound is bridged by the last
// sample in front of it, because players stop at one.
func (s *segment) piece() (*piece, error) {
	p := &piece{
		width: s.video.width, height: s.video.height, rotation: s.video.rotation,
		at: s.first, dur: max(s.end-s.first, 0), seg: s.seg,
	}
	heard := s.heard
	if !s.pictures {
		heard = s.next
	}
	part, init, names := fmp4.Part{SequenceNumber: s.number}, fmp4.Init{}, []string{}
	for _, t := range []struct {
		id   int
		lane *lane
		next time.Duration
	}{{1, &s.video, s.next}, {2, &s.audio, heard}} {
		if t.lane.codec == nil {
			continue
		}
		init.Tracks = append(init.Tracks, &fmp4.InitTrack{ID: t.id, TimeScale: uint32(t.lane.rate), Codec: t.lane.codec})
		names = append(names, t.lane.name)
		if len(t.lane.samples) > 0 {
			part.Tracks = append(part.Tracks, t.lane.part(t.id, t.next))
		}
	}
	p.codecs = strings.Join(names, ",")
	var head, body seekablebuffer.Buffer
	err := init.Marshal(&head)
	if err == nil {
		err = part.Marshal(&body)
	}
	if err != nil {
		return nil, fmt.Errorf("mp4 at %v: %w", s.first, err)
	}
	p.init, p.data = head.Bytes(), body.Bytes()
	return p, nil
}

func (l *lane) add(s sample) { l.samples = add(l.samples, s) }

// add appends s, which is decoded behind the others whatever it says.
func add(list []sample, s sample) []sample {
	if n := len(list); n > 0 && s.dts <= list[n-1].dts {
		s.dts = list[n-1].dts + 50*time.Microsecond
	}
	return append(list, s)
}

// nominal is how long sample i is shown, as far as is known without the next.
func (l *lane) nominal(i int) time.Duration {
	if d := l.samples[i].dur; d > 0 {
		return d
	}
	if i > 0 {
		return l.samples[i].dts - l.samples[i-1].dts
	}
	return 0
}

// end is when the last of the samples has been presented.
func (l *lane) end() time.Duration {
	end := ingest.NoTime
	for i := range l.samples {
		end = max(end, l.samples[i].pts+l.nominal(i))
	}
	return end
}

// part makes the samples of a track. next is the decoding time of the sample
// behind them, or NoTime.
func (l *lane) part(id int, next time.Duration) *fmp4.PartTrack {
	at := func(d time.Duration) int64 { return ticks(d+lead, l.rate) }
	pt := &fmp4.PartTrack{ID: id, BaseTime: uint64(at(l.samples[0].dts)), Samples: make([]*fmp4.Sample, len(l.samples))}
	for i := range l.samples {
		s := &l.samples[i]
		end := s.dts + l.nominal(i)
		if i+1 < len(l.samples) {
			end = l.samples[i+1].dts
		} else if next > s.dts && next < s.dts+hole {
			end = next
		}
		pt.Samples[i] = &fmp4.Sample{
			Duration:        uint32(max(at(end)-at(s.dts), 0)),
			PTSOffset:       int32(at(s.pts) - at(s.dts)),
			IsNonSyncSample: !s.key && l.codec.IsVideo(),
			Payload:         s.data,
		}
	}
	return pt
}

// ticks is floor(d * rate) for d in seconds, which is not negative.
func ticks(d time.Duration, rate int64) int64 {
	whole, rest := int64(d/time.Second), int64(d%time.Second)
	return whole*rate + rest*rate/int64(time.Second)
}
