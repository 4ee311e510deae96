package ring

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"strings"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"

	"github.com/seehear/seehear/ingest"
)

// coder turns the packets of one stream into MP4 samples. It learns the codec's
// configuration from the stream or from the packets.
type coder interface {
	// sample returns the payload of a packet; nil says that it holds nothing.
	// changed says that the configuration that was known is another from this
	// sample on.
	sample(data []byte, key bool) (payload []byte, changed bool, err error)
	// codec is nil until the configuration is known.
	codec() codecs.Codec
	// name is the codec as RFC 6381 has it.
	name() string
}

// newCoder returns nil for a codec that the ring does not keep.
func newCoder(s *ingest.Stream) coder {
	switch s.Codec {
	case "h264":
		c := &nalCoder{sets: make([][]byte, 2), kind: h264Kind}
		c.configure(s.Extra, parseAVCC)
		return c
	case "hevc":
		c := &nalCoder{sets: make([][]byte, 3), kind: h265Kind}
		c.configure(s.Extra, parseHVCC)
		return c
	case "aac":
		c := &aacCoder{}
		if len(s.Extra) > 0 && c.config.Unmarshal(s.Extra) == nil {
			c.known = true
		}
		return c
	case "opus":
		n := s.Channels
		if len(s.Extra) > 9 && bytes.HasPrefix(s.Extra, []byte("OpusHead")) {
			n = int(s.Extra[9])
		}
		if n != 1 && n != 2 {
			return nil // more channels need a mapping
		}
		return &opusCoder{n}
	}
	return nil
}

type opusCoder struct{ channels int }

func (c *opusCoder) sample(data []byte, _ bool) ([]byte, bool, error) { return data, false, nil }
func (c *opusCoder) codec() codecs.Codec                              { return &codecs.Opus{ChannelCount: c.channels} }
func (c *opusCoder) name() string                                     { return "opus" }

// aacCoder takes AAC with and without ADTS headers.
type aacCoder struct {
	config mpeg4audio.AudioSpecificConfig
	known  bool
}

func (c *aacCoder) sample(data []byte, _ bool) ([]byte, bool, error) {
	if len(data) < 2 || data[0] != 0xff || data[1]&0xf6 != 0xf0 {
		if !c.known {
			return nil, false, errors.New("AAC of unknown configuration")
		}
		return data, false, nil
	}
	var ps mpeg4audio.ADTSPackets
	if err := ps.Unmarshal(data); err != nil {
		return nil, false, err
	}
	if len(ps) != 1 {
		return nil, false, fmt.Errorf("%d ADTS frames in a packet", len(ps))
	}
	now := mpeg4audio.AudioSpecificConfig{Type: ps[0].Type, SampleRate: ps[0].SampleRate, ChannelConfig: ps[0].ChannelConfig}
	changed := c.known && (now.SampleRate != c.config.SampleRate || now.ChannelConfig != c.config.ChannelConfig)
	if changed || !c.known {
		c.config, c.known = now, true
	}
	return ps[0].AU, changed, nil
}

func (c *aacCoder) codec() codecs.Codec {
	if !c.known {
		return nil
	}
	return &codecs.MPEG4Audio{Config: c.config}
}

func (c *aacCoder) name() string {
	typ := c.config.Type
	if c.config.ExtensionType != 0 {
		typ = c.config.ExtensionType
	}
	return fmt.Sprintf("mp4a.40.%d", typ)
}

// nalCoder takes H.264 and H.265, as Annex B and with lengths.
type nalCoder struct {
	kind   func(nal []byte) int // which of sets nal is, skip, or other
	length int                  // bytes of a length; 0: Annex B
	sets   [][]byte             // SPS PPS, or VPS SPS PPS: one of each
	extra  [][]byte             // all of them, if there are several of one kind
}

const (
	skip  = -1
	other = -2
)

func h264Kind(nal []byte) int {
	switch nal[0] & 0x1f {
	case 7:
		return 0
	case 8:
		return 1
	case 9, 12: // delimiter, filler
		return skip
	}
	return other
}

func h265Kind(nal []byte) int {
	switch nal[0] >> 1 & 0x3f {
	case 32, 33, 34:
		return int(nal[0]>>1&0x3f) - 32
	case 35, 38: // delimiter, filler
		return skip
	}
	return other
}

// configure reads the configuration of a container, or the parameter sets of
// Annex B; what cannot be read is waited for in the stream.
func (c *nalCoder) configure(extra []byte, parse func([]byte) (length int, nals [][]byte, ok bool)) {
	if len(extra) == 0 {
		return
	}
	if extra[0] != 1 {
		for nal := range annexB(extra) {
			c.learn(nal)
		}
		return
	}
	length, nals, ok := parse(extra)
	if !ok {
		return
	}
	c.length = length
	counts := make([]int, len(c.sets))
	for _, nal := range nals {
		if k := c.kind(nal); k >= 0 {
			if counts[k]++; counts[k] == 1 {
				c.sets[k] = nal
			}
		}
	}
	for _, n := range counts {
		if n > 1 {
			c.extra = nals
		}
	}
}

// learn takes a parameter set, and reports whether it replaces another.
func (c *nalCoder) learn(nal []byte) bool {
	k := c.kind(nal)
	if k < 0 || bytes.Equal(c.sets[k], nal) {
		return false
	}
	replaced := c.sets[k] != nil
	c.sets[k] = bytes.Clone(nal)
	return replaced
}

func (c *nalCoder) sample(data []byte, key bool) ([]byte, bool, error) {
	// A configuration record means lengths; but a stream that was remuxed may
	// still come with start codes.
	split := annexB
	if c.length > 0 && (addsUp(data, c.length) || !startCode(data)) {
		split = func(b []byte) func(func([]byte) bool) { return lengthed(b, c.length) }
	}
	out := make([]byte, 0, len(data)+16)
	add := func(nal []byte) {
		out = binary.BigEndian.AppendUint32(out, uint32(len(nal)))
		out = append(out, nal...)
	}
	if key {
		for _, nal := range c.extra {
			add(nal)
		}
	}
	var seen [3]bool // a stream may have several of a kind: the first stands for all
	changed, pictures, size := false, 0, 0
	for nal := range split(data) {
		size += len(nal)
		switch k := c.kind(nal); k {
		case skip:
			continue
		case other:
			pictures++
		default:
			if !seen[k] && c.learn(nal) {
				changed = true
			}
			seen[k] = true
		}
		add(nal)
	}
	switch {
	case size == 0 && len(data) > 0:
		return nil, changed, errors.New("no NAL units in a packet")
	case pictures == 0:
		return nil, changed, nil
	}
	return out, changed, nil
}

func (c *nalCoder) codec() codecs.Codec {
	for _, s := range c.sets {
		if len(s) < 4 {
			return nil
		}
	}
	if len(c.sets) == 2 {
		return &codecs.H264{SPS: c.sets[0], PPS: c.sets[1]}
	}
	return &codecs.H265{VPS: c.sets[0], SPS: c.sets[1], PPS: c.sets[2]}
}

func (c *nalCoder) name() string {
	if len(c.sets) == 2 {
		return "avc1." + hex.EncodeToString(c.sets[0][1:4])
	}
	return hevcName(c.sets[1])
}

// hevcName writes the codec of an SPS as ISO 14496-15, annex E has it.
func hevcName(sps []byte) string {
	b := h264.EmulationPreventionRemove(sps)
	if len(b) < 15 {
		return "hvc1"
	}
	ptl := b[3:]
	var s strings.Builder
	s.WriteString("hvc1.")
	if space := ptl[0] >> 6; space > 0 {
		s.WriteByte('A' + space - 1)
	}
	tier := byte('L')
	if ptl[0]&0x20 != 0 {
		tier = 'H'
	}
	fmt.Fprintf(&s, "%d.%X.%c%d", ptl[0]&0x1f, bits.Reverse32(binary.BigEndian.Uint32(ptl[1:])), tier, ptl[11])
	constraints := bytes.TrimRight(ptl[5:11], "\x00")
	for _, c := range constraints {
		fmt.Fprintf(&s, ".%X", c)
	}
	return s.String()
}

// size is the size that the configuration of a video says.
func size(c codecs.Codec) (w, h int) {
	switch c := c.(type) {
	case *codecs.H264:
		var sps h264.SPS
		if sps.Unmarshal(c.SPS) == nil {
			return sps.Width(), sps.Height()
		}
	case *codecs.H265:
		var sps h265.SPS
		if sps.Unmarshal(c.SPS) == nil {
			return sps.Width(), sps.Height()
		}
	}
	return 0, 0
}

// addsUp reports whether b is NAL units behind their lengths and nothing else. It
// is asked first: the length of a unit of 256 to 511 bytes looks like a start code.
func addsUp(b []byte, length int) bool {
	for len(b) > length {
		n := 0
		for _, x := range b[:length] {
			n = n<<8 | int(x)
		}
		if n > len(b)-length {
			return false
		}
		b = b[length+n:]
	}
	return len(b) == 0
}

func startCode(b []byte) bool {
	return bytes.HasPrefix(b, []byte{0, 0, 0, 1}) || bytes.HasPrefix(b, []byte{0, 0, 1})
}

// annexB yields the NAL units between start codes.
func annexB(b []byte) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		start := []byte{0, 0, 1}
		i := bytes.Index(b, start)
		for i >= 0 {
			b = b[i+3:]
			nal := b
			if i = bytes.Index(b, start); i >= 0 {
				nal = b[:i]
			}
			if nal = bytes.TrimRight(nal, "\x00"); len(nal) > 0 && !yield(nal) {
				return
			}
		}
	}
}

// lengthed yields the NAL units that each follow their length, up to one that is
// cut off.
func lengthed(b []byte, length int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(b) > length {
			n := 0
			for _, c := range b[:length] {
				n = n<<8 | int(c)
			}
			b = b[length:]
			if n > len(b) {
				return
			}
			if n > 0 && !yield(b[:n]) {
				return
			}
			b = b[n:]
		}
	}
}

// parseAVCC reads an AVCDecoderConfigurationRecord.
func parseAVCC(b []byte) (length int, nals [][]byte, ok bool) {
	if len(b) < 6 {
		return 0, nil, false
	}
	length = int(b[4]&3) + 1
	r := reader{b[5:]}
	for range r.byte() & 0x1f {
		nals = append(nals, r.nal())
	}
	for range r.byte() {
		nals = append(nals, r.nal())
	}
	return length, whole(nals), true
}

// parseHVCC reads an HEVCDecoderConfigurationRecord.
func parseHVCC(b []byte) (length int, nals [][]byte, ok bool) {
	if len(b) < 23 {
		return 0, nil, false
	}
	length = int(b[21]&3) + 1
	r := reader{b[22:]}
	for range r.byte() {
		r.byte() // type, which the units repeat
		n := int(r.byte())<<8 | int(r.byte())
		for range n {
			if len(r.b) == 0 {
				break
			}
			nals = append(nals, r.nal())
		}
	}
	return length, whole(nals), true
}

// whole leaves out what was cut off.
func whole(nals [][]byte) [][]byte {
	out := nals[:0]
	for _, n := range nals {
		if len(n) > 0 {
			out = append(out, n)
		}
	}
	return out
}

// reader reads a record; beyond its end there are zeros.
type reader struct{ b []byte }

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) nal() []byte {
	n := int(r.byte())<<8 | int(r.byte())
	if n > len(r.b) {
		r.b = nil
		return nil
	}
	nal := r.b[:n]
	r.b = r.b[n:]
	return nal
}
