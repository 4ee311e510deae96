package ffmpeg

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	astiav "github.com/asticode/go-astiav"

	"github.com/seehear/seehear/decode"
	"github.com/seehear/seehear/ingest"
)

// demuxer is the smallest ingest.Source over libavformat that these tests can do
// with: the first video and the first audio stream (or the kinds asked for), and
// zero at the earliest stamp that a decoder would show.
type demuxer struct {
	fc      *astiav.FormatContext
	pkt     *astiav.Packet
	streams []ingest.Stream
	bases   map[int]astiav.Rational
	zero    time.Duration
	// edit changes a packet, or drops it, before it is handed on.
	edit func(*ingest.Packet) bool
}

func open(t testing.TB, path string, kinds ...ingest.Kind) *demuxer {
	t.Helper()
	return openAs(t, path, nil, nil, kinds...)
}

// openRaw opens bare pictures of the given layout.
func openRaw(t testing.TB, path, format string, w, h int) *demuxer {
	t.Helper()
	options := astiav.NewDictionary()
	defer options.Free()
	for k, v := range map[string]string{"pixel_format": format, "video_size": fmt.Sprintf("%dx%d", w, h)} {
		if err := options.Set(k, v, 0); err != nil {
			t.Fatal(err)
		}
	}
	return openAs(t, path, astiav.FindInputFormat("rawvideo"), options)
}

func openAs(t testing.TB, path string, format *astiav.InputFormat, options *astiav.Dictionary, kinds ...ingest.Kind) *demuxer {
	t.Helper()
	d := &demuxer{fc: astiav.AllocFormatContext(), pkt: astiav.AllocPacket(), bases: map[int]astiav.Rational{}}
	if err := d.fc.OpenInput(path, format, options); err != nil {
		t.Fatalf("open %s: %v", path, err)
	}
	t.Cleanup(func() { d.fc.CloseInput(); d.fc.Free(); d.pkt.Free() })
	if err := d.fc.FindStreamInfo(nil); err != nil {
		t.Fatal(err)
	}
	have := map[ingest.Kind]bool{ingest.Video: len(kinds) > 0, ingest.Audio: len(kinds) > 0}
	for _, k := range kinds {
		have[k] = false
	}
	for _, s := range d.fc.Streams() {
		cp := s.CodecParameters()
		st := ingest.Stream{
			Index: s.Index(), Codec: cp.CodecID().Name(), Tag: uint32(cp.CodecTag()), Profile: int(cp.Profile()), Level: int(cp.Level()),
			Extra: append([]byte(nil), cp.ExtraData()...), Format: -1, BitRate: cp.BitRate(),
			FrameRate:    ingest.Timebase{Num: int32(s.AvgFrameRate().Num()), Den: int32(s.AvgFrameRate().Den())},
			SampleAspect: ingest.Timebase{Num: int32(cp.SampleAspectRatio().Num()), Den: int32(cp.SampleAspectRatio().Den())},
		}
		switch cp.MediaType() {
		case astiav.MediaTypeVideo:
			st.Kind, st.Format = ingest.Video, int(cp.PixelFormat())
			st.Width, st.Height = cp.Width(), cp.Height()
			st.ColorRange, st.ColorSpace = int(cp.ColorRange()), int(cp.ColorSpace())
			st.ColorPrimaries, st.ColorTransfer = int(cp.ColorPrimaries()), int(cp.ColorTransferCharacteristic())
			if m, ok := cp.SideData().DisplayMatrix().Get(); ok {
				st.Rotation = (int(m.Rotation()) + 360) % 360
			}
		case astiav.MediaTypeAudio:
			st.Kind, st.Format = ingest.Audio, int(cp.SampleFormat())
			st.SampleRate, st.Channels, st.FrameSize = cp.SampleRate(), cp.ChannelLayout().Channels(), cp.FrameSize()
		default:
			continue
		}
		if have[st.Kind] {
			continue
		}
		have[st.Kind] = true
		d.streams = append(d.streams, st)
		d.bases[st.Index] = s.TimeBase()
		if at := nanos(s.StartTime(), s.TimeBase()); at != ingest.NoTime && (len(d.streams) == 1 || at < d.zero) {
			d.zero = at
		}
	}
	return d
}

func nanos(ts int64, tb astiav.Rational) time.Duration {
	if ts == astiav.NoPtsValue {
		return ingest.NoTime
	}
	return ingest.Timebase{Num: int32(tb.Num()), Den: int32(tb.Den())}.Duration(ts)
}

func (d *demuxer) Streams() []ingest.Stream { return d.streams }
func (d *demuxer) Live() bool               { return false }
func (d *demuxer) Close() error             { return nil }

func (d *demuxer) Read(context.Context) (ingest.Packet, error) {
	for {
		if err := d.fc.ReadFrame(d.pkt); err != nil {
			return ingest.Packet{}, io.EOF
		}
		tb, ok := d.bases[d.pkt.StreamIndex()]
		if !ok {
			d.pkt.Unref()
			continue
		}
		p := ingest.Packet{
			Stream: d.pkt.StreamIndex(), PTS: nanos(d.pkt.Pts(), tb), DTS: nanos(d.pkt.Dts(), tb), Dur: nanos(d.pkt.Duration(), tb),
			Key: d.pkt.Flags().Has(astiav.PacketFlagKey), Data: append([]byte(nil), d.pkt.Data()...),
		}
		for _, ts := range []*time.Duration{&p.PTS, &p.DTS} {
			if *ts != ingest.NoTime {
				*ts -= d.zero
			}
		}
		if ss, ok := d.pkt.SideData().SkipSamples().Get(); ok {
			b := binary.LittleEndian.AppendUint32(nil, ss.SkipStart)
			b = binary.LittleEndian.AppendUint32(b, ss.SkipEnd)
			p.Side = append(p.Side, ingest.SideData{Type: 11, Data: append(b, ss.ReasonStart, ss.ReasonEnd)})
		}
		d.pkt.Unref()
		if d.edit != nil && !d.edit(&p) {
			continue
		}
		return p, nil
	}
}

// decoded is everything a decoder yielded, copied.
type decoded struct {
	frames []*decode.Frame
	blocks [][]block // per sound
	ends   []decode.End
	order  []decode.Unit // as yielded; memory is released
	stats  decode.Stats
}

type block struct {
	ingest.Stamp
	rate, channels int
	data           []float32
}

// pcm joins the blocks of a sound, which must follow each other.
func (d *decoded) pcm(t testing.TB, sound int) []float32 {
	t.Helper()
	var out []float32
	bs := d.blocks[sound]
	for i, b := range bs {
		want := bs[0].At + ingest.SampleTime(int64(len(out)/b.channels), b.rate)
		if b.At != want {
			t.Fatalf("sound %d block %d at %v, want %v", sound, i, b.At, want)
		}
		out = append(out, b.data...)
	}
	return out
}

func (d *decoded) samples(sound int) (n int) {
	for _, b := range d.blocks[sound] {
		n += len(b.data) / b.channels
	}
	return n
}

func run(t testing.TB, src ingest.Source, out decode.Outputs, o Options) *decoded {
	t.Helper()
	before := Handles()
	dec, err := New(src.Streams(), out, o)
	if err != nil {
		t.Fatal(err)
	}
	r := decode.NewReader(src, dec)
	res := &decoded{blocks: make([][]block, len(out.Sounds))}
	var units []decode.Unit
	for {
		units, err = r.Read(context.Background(), units[:0])
		for _, u := range units {
			res.order = append(res.order, u)
			switch {
			case u.Frame != nil:
				f := &decode.Frame{Stamp: u.Frame.Stamp, Dur: u.Frame.Dur, SrcW: u.Frame.SrcW, SrcH: u.Frame.SrcH, Key: u.Frame.Key}
				for _, im := range u.Frame.Images {
					f.Images = append(f.Images, decode.Image{W: im.W, H: im.H, Pix: append([]byte(nil), im.Pix...)})
				}
				res.frames = append(res.frames, f)
			case u.Block != nil:
				b := u.Block
				res.blocks[b.Sound] = append(res.blocks[b.Sound], block{b.Stamp, b.PCM.Format.SampleRate, b.PCM.Format.NumChannels, append([]float32(nil), b.PCM.Data...)})
			case u.End != nil:
				res.ends = append(res.ends, *u.End)
			}
			u.Release()
		}
		if err != nil {
			break
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	res.stats = r.Stats()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if h := dec.Held(); h != 0 {
		t.Errorf("%d frames and blocks not released", h)
	}
	if h := Handles(); h != before {
		t.Errorf("%d C objects left", h-before)
	}
	return res
}

// both asks for one small picture and one sound.
var both = decode.Outputs{
	Sizes:  []decode.Size{{W: 224, H: 224}},
	Sounds: []decode.Sound{{Rate: 22050, Channels: 1}},
}

// ffmpeg runs the ffmpeg on PATH and returns stdout.
func ffmpeg(t testing.TB, args ...string) []byte { t.Helper(); return command(t, "ffmpeg", args...) }

// reference runs the distribution's own ffmpeg, as a rule an independent build of
// another version, and the one on PATH where there is none.
func reference(t testing.TB, args ...string) []byte {
	t.Helper()
	const own = "/usr/bin/ffmpeg"
	if _, err := os.Stat(own); err != nil {
		return ffmpeg(t, args...)
	}
	return command(t, own, args...)
}

func command(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	if strings.HasSuffix(name, "ffmpeg") {
		cmd.Args = append([]string{name, "-nostdin", "-v", "error", "-y"}, args...)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return out
}

// clip returns the path of a real clip, or "" where the folder is not there.
func clip(name string) string {
	p := filepath.Join("..", "..", "..", "shared", "media", name)
	if _, err := os.Stat(p); err != nil {
		return ""
	}
	return p
}

func floats(b []byte) []float32 {
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = f32(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}
