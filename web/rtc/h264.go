package rtc

import (
	"bytes"
	"fmt"
	"iter"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"github.com/seehear/seehear/ingest"
)

// NAL unit types (H.264, table 7-1) that matter here.
const (
	nalSlice  = 1
	nalSliceA = 2
	nalIDR    = 5
	nalSPS    = 7
	nalPPS    = 8
	nalAUD    = 9
	nalFiller = 12
)

// keyframeEvery is how far apart keyframes may be for a stream to pass through: a
// viewer that joins, or lost something, waits that long. A frame or two more is
// rounding of the encoder.
const keyframeEvery = 2*time.Second + 100*time.Millisecond

// h264Judge takes the packets of one H.264 stream, puts them in the form that the
// payloader takes, and says once they cannot pass.
type h264Judge struct {
	lengthSize int // bytes of the length in front of each NAL unit; 0 is Annex B
	sets       map[byte][][]byte
	reason     string // why it can never pass
	slow       int    // keyframes that must come in time before it passes again
	last       time.Duration
	lastKey    time.Duration
	started    bool
}

// steady is how many keyframes in a row must come in time before a stream in
// which one did not passes again: it may only have been lost.
const steady = 5

// verdict returns why the stream cannot pass now, empty if it can.
func (j *h264Judge) verdict() string {
	switch {
	case j.reason != "":
		return j.reason
	case j.slow > 0:
		return "the H.264 has a keyframe less often than every 2 s"
	}
	return ""
}

func newH264Judge(s ingest.Stream) *h264Judge {
	j := &h264Judge{sets: map[byte][][]byte{}}
	var sets iter.Seq[[]byte]
	if len(s.Extra) >= 7 && s.Extra[0] == 1 {
		j.lengthSize = int(s.Extra[4]&3) + 1
		sets = avcC(s.Extra)
	} else {
		sets = annexB(s.Extra)
	}
	for n := range sets {
		j.keep(n)
	}
	switch {
	case s.Reorder > 0:
		j.reason = "the H.264 has B-frames"
	case s.Rotation != 0:
		j.reason = fmt.Sprintf("the picture is turned by %d degrees", s.Rotation)
	case s.SampleAspect.Num > 0 && s.SampleAspect.Den > 0 && s.SampleAspect.Num != s.SampleAspect.Den:
		j.reason = "its pixels are not square"
	}
	return j
}

// keep remembers a parameter set; the last of each kind and number counts.
func (j *h264Judge) keep(n []byte) {
	if len(n) < 2 {
		return
	}
	t := n[0] & 0x1f
	switch t {
	case nalSPS:
		if profile := n[1]; profile != 66 && profile != 77 && profile != 100 {
			j.fail(fmt.Sprintf("browsers don't decode H.264 profile %d", profile))
		}
		var sps h264.SPS
		if err := sps.Unmarshal(n); err != nil {
			return
		}
		if !sps.FrameMbsOnlyFlag {
			j.fail("the H.264 is interlaced")
		}
		j.put(t, n, sps.ID)
	case nalPPS:
		id, _, ok := golomb(n[1:], 0)
		if ok {
			j.put(t, n, id)
		}
	}
}

// put replaces the set of that kind and number. There are at most 32 and 256.
func (j *h264Judge) put(kind byte, n []byte, id uint32) {
	list := j.sets[kind]
	for i, old := range list {
		var oldID uint32
		if kind == nalPPS {
			oldID, _, _ = golomb(old[1:], 0)
		} else {
			var sps h264.SPS
			if sps.Unmarshal(old) == nil {
				oldID = sps.ID
			}
		}
		if oldID == id {
			if !bytes.Equal(old, n) {
				list[i] = bytes.Clone(n)
			}
			return
		}
	}
	if len(list) < 256 {
		j.sets[kind] = append(list, bytes.Clone(n))
	}
}

func (j *h264Judge) fail(reason string) {
	if j.reason == "" {
		j.reason = reason
	}
}

// unit returns the access unit in Annex B with its parameter sets in front if it
// is a keyframe, nil if nothing of it can be sent or the stream cannot pass.
func (j *h264Judge) unit(data []byte, at time.Duration) (au []byte, key bool) {
	var inBand bool
	size := 0
	for n := range j.split(data) {
		switch t := n[0] & 0x1f; t {
		case nalSPS, nalPPS:
			inBand = inBand || t == nalSPS
			j.keep(n)
			size += 3 + len(n)
		case nalAUD, nalFiller:
		case nalIDR:
			key = true
			size += 3 + len(n)
		case nalSlice, nalSliceA:
			if sliceB(n) {
				j.fail("the H.264 has B-frames")
			}
			size += 3 + len(n)
		default:
			size += 3 + len(n)
		}
	}
	j.judge(at, key)
	if j.verdict() != "" || size == 0 {
		return nil, key
	}
	if key && !inBand {
		for _, kind := range []byte{nalSPS, nalPPS} {
			for _, n := range j.sets[kind] {
				size += 3 + len(n)
			}
		}
	}
	au = make([]byte, 0, size)
	if key && !inBand {
		for _, kind := range []byte{nalSPS, nalPPS} {
			for _, n := range j.sets[kind] {
				au = append(append(au, 0, 0, 1), n...)
			}
		}
	}
	for n := range j.split(data) {
		if t := n[0] & 0x1f; t != nalAUD && t != nalFiller {
			au = append(append(au, 0, 0, 1), n...)
		}
	}
	return au, key
}

// judge looks at the order of the stamps and at the distance of keyframes.
func (j *h264Judge) judge(at time.Duration, key bool) {
	if j.started && at < j.last {
		j.fail("the H.264 has B-frames")
	}
	if !j.started || at-j.last > time.Second { // across a hole nothing can be measured
		j.started, j.lastKey = true, at
	}
	j.last = at
	late := at-j.lastKey > keyframeEvery
	switch {
	case late:
		j.slow = steady
	case key && j.slow > 0:
		j.slow--
	}
	if key {
		j.lastKey = at
	}
}

// resume says that packets are missing in front of the next.
func (j *h264Judge) resume() { j.started = false }

// split yields the NAL units of a packet, none of them empty. A packet that is
// damaged ends where the damage begins.
func (j *h264Judge) split(data []byte) iter.Seq[[]byte] {
	if j.lengthSize == 0 || bytes.HasPrefix(data, []byte{0, 0, 0, 1}) && j.lengthSize != 4 {
		return annexB(data)
	}
	return func(yield func([]byte) bool) {
		for len(data) > j.lengthSize {
			n := 0
			for _, b := range data[:j.lengthSize] {
				n = n<<8 | int(b)
			}
			data = data[j.lengthSize:]
			if n > len(data) {
				return
			}
			if n > 0 && !yield(data[:n]) {
				return
			}
			data = data[n:]
		}
	}
}

// annexB yields what lies between start codes.
func annexB(data []byte) iter.Seq[[]byte] {
	start := []byte{0, 0, 1}
	return func(yield func([]byte) bool) {
		i := bytes.Index(data, start)
		for i >= 0 {
			data = data[i+3:]
			i = bytes.Index(data, start)
			n := data
			if i >= 0 {
				n = data[:i]
			}
			// Zeros behind a unit belong to the next start code or to nothing.
			if n = bytes.TrimRight(n, "\x00"); len(n) > 0 && !yield(n) {
				return
			}
		}
	}
}

// avcC yields the parameter sets of an AVCDecoderConfigurationRecord.
func avcC(extra []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		rest := extra[5:]
		for _, mask := range []byte{0x1f, 0xff} {
			if len(rest) == 0 {
				return
			}
			count := rest[0] & mask
			rest = rest[1:]
			for range count {
				if len(rest) < 2 {
					return
				}
				n := int(rest[0])<<8 | int(rest[1])
				if rest = rest[2:]; n > len(rest) {
					return
				}
				if n > 0 && !yield(rest[:n]) {
					return
				}
				rest = rest[n:]
			}
		}
	}
}

// sliceB reports whether a slice is of type B: first_mb_in_slice and slice_type
// are the first two numbers of its header.
func sliceB(n []byte) bool {
	// An emulation prevention byte can only follow two zero bytes, which would be a
	// first_mb_in_slice beyond any picture.
	_, pos, ok := golomb(n[1:], 0)
	if !ok {
		return false
	}
	t, _, ok := golomb(n[1:], pos)
	return ok && t%5 == 1
}

// golomb reads the Exp-Golomb number at bit pos and returns the position behind.
func golomb(b []byte, pos int) (v uint32, next int, ok bool) {
	bit := func(i int) uint32 { return uint32(b[i/8]>>(7-i%8)) & 1 }
	zeros := 0
	for ; ; zeros++ {
		if pos+zeros >= 8*len(b) || zeros > 31 {
			return 0, pos, false
		}
		if bit(pos+zeros) == 1 {
			break
		}
	}
	end := pos + 2*zeros + 1
	if end > 8*len(b) {
		return 0, pos, false
	}
	for i := pos + zeros; i < end; i++ {
		v = v<<1 | bit(i)
	}
	return v - 1, end, true
}
