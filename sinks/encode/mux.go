package encode

import (
	"errors"
	"fmt"
	"io"

	"github.com/asticode/go-astiav"

	"github.com/seehear/seehear/ingest"
)

// ioBuffer is how much libavformat gathers before it writes.
const ioBuffer = 256 << 10

// muxer owns one output container and its I/O.
type muxer struct {
	fc     *astiav.FormatContext
	io     *astiav.IOContext
	format string
	opts   map[string]string
	begun  bool
}

// newMP4 makes a muxer of fragmented MP4 that writes to w. The header is held
// back until the first fragment, when the first stamps, and so the edit lists,
// are known.
func newMP4(w io.Writer) (*muxer, error) {
	return newMuxer(w, "mp4", map[string]string{
		"movflags":      "+frag_keyframe+empty_moov+delay_moov+default_base_moof",
		"frag_duration": "5000000", // where no key frame ends it: the sound behind the last picture
		// Edit lists count in this scale, the default being a millisecond.
		"movie_timescale": "90000",
		"use_editlist":    "1",
	})
}

func newMuxer(w io.Writer, format string, opts map[string]string) (_ *muxer, err error) {
	m := &muxer{format: format, opts: opts}
	defer func() {
		if err != nil {
			m.free()
		}
	}()
	if m.fc, err = astiav.AllocOutputFormatContext(nil, format, ""); err != nil {
		return nil, fmt.Errorf("muxer %s: %w", format, err)
	}
	if m.fc == nil {
		return nil, fmt.Errorf("this FFmpeg has no muxer %s", format)
	}
	handles.Add(1)
	if m.io, err = astiav.AllocIOContext(ioBuffer, true, nil, nil, w.Write); err != nil {
		return nil, fmt.Errorf("muxer %s: %w", format, err)
	}
	handles.Add(1)
	m.fc.SetPb(m.io)
	m.fc.SetFlags(m.fc.Flags().Add(astiav.FormatContextFlagCustomIo).Add(astiav.FormatContextFlagBitexact))
	return m, nil
}

// add makes a stream for the encoder's packets and returns what takes them.
func (m *muxer) add(c *astiav.CodecContext, tb ingest.Timebase) (emit, error) {
	s := m.fc.NewStream(nil)
	if s == nil {
		return nil, errors.New("out of memory")
	}
	if err := s.CodecParameters().FromCodecContext(c); err != nil {
		return nil, fmt.Errorf("muxer %s: %w", m.format, err)
	}
	from := astiav.NewRational(int(tb.Num), int(tb.Den))
	s.SetTimeBase(from)
	return func(p *astiav.Packet) error {
		p.SetStreamIndex(s.Index())
		p.RescaleTs(from, s.TimeBase())
		if err := m.fc.WriteInterleavedFrame(p); err != nil {
			return fmt.Errorf("muxer %s: %w", m.format, err)
		}
		return nil
	}, nil
}

func (m *muxer) begin() error {
	d := astiav.NewDictionary()
	defer d.Free()
	for k, v := range m.opts {
		if err := d.Set(k, v, astiav.NewDictionaryFlags()); err != nil {
			return err
		}
	}
	if err := m.fc.WriteHeader(d); err != nil {
		return fmt.Errorf("muxer %s: %w", m.format, err)
	}
	m.begun = true
	return nil
}

func (m *muxer) end() error {
	if err := m.fc.WriteTrailer(); err != nil {
		return fmt.Errorf("muxer %s: %w", m.format, err)
	}
	m.io.Flush()
	m.begun = false
	return nil
}

func (m *muxer) free() {
	if m.fc != nil {
		m.fc.Free()
		m.fc = nil
		handles.Add(-1)
	}
	if m.io != nil {
		m.io.Free()
		m.io = nil
		handles.Add(-1)
	}
}
