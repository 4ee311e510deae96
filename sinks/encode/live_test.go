package encode

import (
	"bytes"
	"encoding/binary"
	"math"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/seehear/seehear/ingest"
)

type livePacket struct {
	at   time.Duration
	key  bool
	data []byte
}

// naluTypes returns the types of an access unit in Annex B.
func naluTypes(au []byte) (types []byte) {
	for {
		i := bytes.Index(au, []byte{0, 0, 1})
		if i < 0 || i+3 >= len(au) {
			return types
		}
		types = append(types, au[i+3]&0x1f)
		au = au[i+3:]
	}
}

// Every frame comes out at once, at its own time, and keyframes where they must be.
func TestLiveVideo(t *testing.T) {
	const w, h = 64, 48
	for _, codec := range []string{"h264", "vp8"} {
		t.Run(codec, func(t *testing.T) {
			v, err := NewVideo(VideoOptions{Codec: codec, W: w, H: h, FrameRate: 25})
			if err != nil {
				t.Fatal(err)
			}
			defer noHandles(t)
			defer v.Close()
			var got []livePacket
			// It begins late and has a hole.
			at := func(i int) time.Duration {
				t := 100*time.Hour + time.Duration(i)*33_366_667
				if i > 40 {
					t += 700 * time.Millisecond
				}
				return t
			}
			const n, asked = 130, 20
			for i := range n {
				before := len(got)
				err := v.Encode(at(i), picture(w, h, i), i == asked, func(at time.Duration, key bool, data []byte) {
					got = append(got, livePacket{at, key, data})
				})
				if err != nil {
					t.Fatal(err)
				}
				if len(got) != before+1 || got[i].at != at(i) {
					t.Fatalf("frame %d: %d packets came out", i, len(got)-before)
				}
			}
			last := at(0)
			for i, p := range got {
				if p.key {
					last = p.at
					if types := naluTypes(p.data); codec == "h264" && (!bytes.Contains(types, []byte{7}) || !bytes.Contains(types, []byte{8}) || !bytes.Contains(types, []byte{5})) {
						t.Errorf("keyframe %d has NAL units %v", i, types)
					}
				}
				if p.at-last > keyEvery {
					t.Errorf("frame %d is %v behind a keyframe", i, p.at-last)
				}
			}
			if !got[0].key || !got[asked].key || got[1].key {
				t.Error("keyframes are not where they were asked for")
			}
			// FFmpeg's own decoder sees the pictures, in order.
			name := filepath.Join(t.TempDir(), "live."+map[string]string{"h264": "h264", "vp8": "ivf"}[codec])
			writeFile(t, name, container(codec, w, h, got))
			raw := tool(t, "ffmpeg", "-v", "error", "-i", name, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
			if len(raw) != 3*w*h*n {
				t.Fatalf("%d pictures came back", len(raw)/(3*w*h))
			}
			for i := range n {
				if got := number(raw[3*w*h*i:3*w*h*(i+1)], w, h); got != i%256 {
					t.Fatalf("picture %d shows %d", i, got)
				}
			}
		})
	}
}

// container puts the packets where ffmpeg can read them.
func container(codec string, w, h int, pkts []livePacket) (b []byte) {
	if codec == "vp8" {
		b = append(b, "DKIF\x00\x00\x20\x00VP80"...)
		b = binary.LittleEndian.AppendUint16(b, uint16(w))
		b = binary.LittleEndian.AppendUint16(b, uint16(h))
		b = binary.LittleEndian.AppendUint32(b, 1000)
		b = binary.LittleEndian.AppendUint32(b, 1)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(pkts)))
		b = append(b, 0, 0, 0, 0)
	}
	for _, p := range pkts {
		if codec == "vp8" {
			b = binary.LittleEndian.AppendUint32(b, uint32(len(p.data)))
			b = binary.LittleEndian.AppendUint64(b, uint64((p.at-pkts[0].at)/time.Millisecond))
		}
		b = append(b, p.data...)
	}
	return b
}

// A click stays where it was, through resampling and mixing, over a hole that is
// filled and one that is skipped; and stamps of packets never go back.
func TestLiveAudio(t *testing.T) {
	for _, c := range []struct{ rate, channels int }{{48000, 2}, {44100, 1}, {16000, 2}, {48000, 6}, {32000, 9}} {
		t.Run(strconv.Itoa(c.rate)+"x"+strconv.Itoa(c.channels), func(t *testing.T) {
			a, err := NewAudio(c.rate, c.channels)
			if err != nil {
				t.Fatal(err)
			}
			defer noHandles(t)
			defer a.Close()
			const start = time.Minute
			clicks := []time.Duration{300 * time.Millisecond, 1500 * time.Millisecond, 9500 * time.Millisecond}
			holes := [][2]time.Duration{{time.Second, 1200 * time.Millisecond}, {2 * time.Second, 9 * time.Second}}
			var got []livePacket
			const chunk = 1000
			for n := int64(0); ; n += chunk {
				from, to := ingest.SampleTime(n, c.rate), ingest.SampleTime(n+chunk, c.rate)
				if from > 10*time.Second {
					break
				}
				lost := false
				for _, h := range holes {
					lost = lost || from >= h[0] && from < h[1]
				}
				if lost {
					continue
				}
				pcm := make([]float32, chunk*c.channels)
				for _, k := range clicks {
					if k < from || k >= to {
						continue
					}
					for i := range c.rate / 200 { // 5 ms of a tone
						o := int(ingest.Samples(k, c.rate)-n) + i
						for ch := 0; ch < c.channels && o < chunk; ch++ {
							pcm[o*c.channels+ch] = float32(0.8 * math.Sin(2*math.Pi*1000*float64(i)/float64(c.rate)))
						}
					}
				}
				if err := a.Encode(start+from, pcm, func(at time.Duration, data []byte) { got = append(got, livePacket{at: at, data: data}) }); err != nil {
					t.Fatal(err)
				}
			}
			for i := 1; i < len(got); i++ {
				if d := got[i].at - got[i-1].at; d != 20*time.Millisecond && d < time.Second {
					t.Errorf("packet %d comes %v after the one before", i, d)
				}
			}
			pcm := decodeOpus(t, got)
			for _, k := range clicks {
				best, place := float32(0), time.Duration(0)
				for i, v := range pcm {
					at := got[i/opusFrame].at + ingest.SampleTime(int64(i%opusFrame), opusRate) - start
					if d := at - k; d.Abs() < 30*time.Millisecond && v > 0.2 && best == 0 {
						best, place = v, at
					}
				}
				if best == 0 || (place-k).Abs() > time.Millisecond {
					t.Errorf("the click at %v is heard at %v", k, place)
				}
			}
		})
	}
}

// The sound follows stamps that are rounded and those of a clock that runs fast or
// slow, while its packets follow each other without a break.
func TestLiveAudioDrift(t *testing.T) {
	const rate, chunk, seconds = 48000, 1024, 40
	for _, ppm := range []float64{0, 200, -200} {
		t.Run(strconv.FormatFloat(ppm, 'f', 0, 64), func(t *testing.T) {
			a, err := NewAudio(rate, 2)
			if err != nil {
				t.Fatal(err)
			}
			defer noHandles(t)
			defer a.Close()
			// stamp is when the sender says that its n-th sample is heard.
			stamp := func(n int) time.Duration {
				return time.Minute + time.Duration(float64(n)/rate*(1+ppm/1e6)*1e9)
			}
			var got []livePacket
			for n := 0; n < seconds*rate; n += chunk {
				pcm := make([]float32, 2*chunk)
				for i := range chunk {
					if in := (n + i) % rate; in < rate/200 { // 5 ms of a tone each second
						pcm[2*i] = float32(0.8 * math.Sin(2*math.Pi*float64(in)/48))
					}
				}
				noise := time.Duration(n/chunk%3-1) * time.Nanosecond
				if err := a.Encode(stamp(n)+noise, pcm, func(at time.Duration, data []byte) { got = append(got, livePacket{at: at, data: data}) }); err != nil {
					t.Fatal(err)
				}
			}
			for i := 1; i < len(got); i++ {
				if d := got[i].at - got[i-1].at; d != 20*time.Millisecond {
					t.Fatalf("packet %d comes %v after the one before", i, d)
				}
			}
			heard, quiet := 0, opusRate/2
			for i, v := range decodeOpus(t, got) {
				if quiet++; v < 0.2 {
					continue
				}
				if at := got[i/opusFrame].at + ingest.SampleTime(int64(i%opusFrame), opusRate); quiet > opusRate/2 {
					if off := at - stamp(heard*rate); off.Abs() > 2*time.Millisecond {
						t.Errorf("click %d is heard %v off", heard, off)
					}
					heard++
				}
				quiet = 0
			}
			if heard != seconds {
				t.Errorf("%d of %d clicks are heard", heard, seconds)
			}
		})
	}
}

// decodeOpus decodes packets one after the other, without regard to their stamps or
// to any delay, as a browser does: the left channel, 960 samples each.
func decodeOpus(t *testing.T, pkts []livePacket) []float32 {
	name := filepath.Join(t.TempDir(), "live.ogg")
	writeFile(t, name, oggOpus(pkts))
	raw := tool(t, "ffmpeg", "-v", "error", "-i", name, "-af", "pan=mono|c0=c0", "-f", "f32le", "-ar", "48000", "-")
	out := make([]float32, len(raw)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	if len(out) < (len(pkts)-1)*opusFrame || len(out) > len(pkts)*opusFrame {
		t.Fatalf("%d samples of %d packets", len(out), len(pkts))
	}
	return out
}
