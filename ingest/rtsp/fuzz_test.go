package rtsp

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"testing"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/sdp"
	"github.com/pion/rtp"

	"github.com/seehear/seehear/ingest"
)

// sdpHead goes in front of the media of every SDP.
const sdpHead = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"

// A VOL of 128x96 in MPEG-4 video, as FFmpeg's encoder writes it.
var volConfig = []byte{
	0, 0, 1, 0xb0, 1, 0, 0, 1, 0xb5, 0x89, 0x13, 0, 0, 1, 0, 0, 0, 1, 0x20, 0, 0xc4, 0x8d, 0x8b, 0xa9, 0x85, 0x04, 0x04, 0x0c, 0x14, 0x63,
}

// describe parses an SDP and returns what would be read of it.
func described(text []byte) ([]*track, error) {
	var sd sdp.SessionDescription
	if err := sd.Unmarshal(text); err != nil {
		return nil, err
	}
	var desc description.Session
	if err := desc.Unmarshal(&sd); err != nil {
		return nil, err
	}
	return choose(&desc)
}

// Whatever a server says of its streams and sends as them, nothing panics, and
// what is said of a stream can be used.
func FuzzStreams(f *testing.F) {
	for _, media := range []string{
		"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==\r\n",
		"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n",
		"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\n",
		"m=video 0 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n",
		"m=video 0 RTP/AVP 96\r\na=rtpmap:96 VP9/90000\r\n",
		"m=video 0 RTP/AVP 96\r\na=rtpmap:96 AV1/90000\r\n",
		"m=video 0 RTP/AVP 26\r\n",
		"m=video 0 RTP/AVP 96\r\na=rtpmap:96 MP4V-ES/90000\r\na=fmtp:96 profile-level-id=1; config=000001B001000001B58913000001000000012000C48D8BA98504040C1463\r\n",
		"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/48000/2\r\na=fmtp:97 streamtype=5; mode=AAC-hbr; config=1190; sizelength=13; indexlength=3; indexdeltalength=3\r\n",
		"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MP4A-LATM/24000/2\r\na=fmtp:97 profile-level-id=1; object=2; cpresent=0; config=400026203fc0\r\n",
		"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MP4A-LATM/48000/2\r\na=fmtp:97 cpresent=1\r\n",
		"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 opus/48000/2\r\n",
		"m=audio 0 RTP/AVP 0\r\n", "m=audio 0 RTP/AVP 8\r\n", "m=audio 0 RTP/AVP 9\r\n", "m=audio 0 RTP/AVP 14\r\n",
		"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 L16/44100/2\r\n",
		"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 AC3/48000/6\r\n",
		"m=application 0 RTP/AVP 98\r\na=rtpmap:98 vnd.onvif.metadata/90000\r\n",
	} {
		f.Add([]byte(sdpHead+media), []byte{0x65, 0x88, 0x84}, []byte{0x41, 0x9a}, true)
	}
	f.Fuzz(func(t *testing.T, text, first, second []byte, marker bool) {
		tracks, err := described(text)
		if err != nil {
			return
		}
		for _, tr := range tracks {
			for i, payload := range [][]byte{first, second, first} {
				p := &rtp.Packet{Header: rtp.Header{Version: 2, Marker: marker, SequenceNumber: uint16(i), Timestamp: uint32(i) * 3000}, Payload: bytes.Clone(payload)}
				tr.lost(p.SequenceNumber)
				units, err := tr.unpack(p)
				if err != nil {
					continue
				}
				for _, u := range units {
					if u.dur < 0 || u.changed != nil && u.changed.Kind != tr.stream.Kind {
						t.Fatalf("%+v", u)
					}
				}
			}
			s := tr.stream
			if !tr.ready {
				continue
			}
			if s.Codec == "" || s.Timebase.Num != 1 || s.Timebase.Den <= 0 {
				t.Fatalf("%+v", s)
			}
			if s.Kind == ingest.Video && (s.Width <= 0 || s.Height <= 0) || s.Kind == ingest.Audio && (s.SampleRate <= 0 || s.Channels <= 0) {
				t.Fatalf("%+v", s)
			}
		}
	})
}

// The headers that are parsed here.
func FuzzHeaders(f *testing.F) {
	f.Add(volConfig)
	f.Add(photo(f, 32, 16))
	f.Add([]byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0, 0x60, 0})
	f.Add([]byte{0x82, 0x49, 0x83, 0x42, 0, 7, 0xf0, 5, 0xf0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if w, h := jpegSize(b); w < 0 || h < 0 || w > 1<<16 || h > 1<<16 {
			t.Fatal(w, h)
		}
		if w, h, ok := volSize(b); ok && (w <= 0 || h <= 0 || w >= 1<<13 || h >= 1<<13) {
			t.Fatal(w, h)
		}
		head, _ := splitVOP(b)
		if len(head) > len(b) {
			t.Fatal(len(head))
		}
		vp8Key(b)
		vp9Key(b)
	})
}

func photo(tb testing.TB, w, h int) []byte {
	tb.Helper()
	img := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)
	for i := range img.Y {
		img.Y[i] = color.Gray{Y: uint8(i)}.Y
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestHeaders(t *testing.T) {
	if w, h := jpegSize(photo(t, 640, 48)); w != 640 || h != 48 {
		t.Errorf("JPEG %dx%d", w, h)
	}
	if w, h, ok := volSize(volConfig); w != 128 || h != 96 || !ok {
		t.Errorf("VOL %dx%d, %v", w, h, ok)
	}
	if _, _, ok := volSize(volConfig[:24]); ok {
		t.Error("a VOL that is cut off has a size")
	}
	if w, h, ok := vp8Key([]byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x40, 0x60, 0x80}); w != 128 || h != 96 || !ok {
		t.Errorf("VP8 %dx%d, %v", w, h, ok)
	}
	if _, err := described([]byte(sdpHead + "m=application 0 RTP/AVP 98\r\na=rtpmap:98 vnd.onvif.metadata/90000\r\n")); !errors.Is(err, ingest.ErrNoMedia) {
		t.Errorf("metadata alone: %v", err)
	}
}
