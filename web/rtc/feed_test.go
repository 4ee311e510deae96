package rtc

import (
	"bytes"
	"context"
	"math/big"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/seehear/seehear/ingest"
)

func TestRTPTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base, rate := rapid.Uint32().Draw(t, "base"), rapid.SampledFrom([]uint32{VideoRate, AudioRate}).Draw(t, "rate")
		at := time.Duration(rapid.Int64().Draw(t, "at"))
		want := new(big.Int).Mul(big.NewInt(int64(at)), big.NewInt(int64(rate)))
		want.Div(want, big.NewInt(1e9)) // Euclidean: floor, the divisor being positive
		want.Add(want, big.NewInt(int64(base))).Mod(want, big.NewInt(1<<32))
		if got := RTPTime(base, rate, at); uint64(got) != want.Uint64() {
			t.Fatalf("%d, not %d", got, want)
		}
	})
}

// collect takes everything that a viewer has waiting once the bubble is idle.
func collect(s *subscription) (us []*unit) {
	synctest.Wait()
	for {
		s.mu.Lock()
		n := len(s.queue)
		s.mu.Unlock()
		if n == 0 {
			return us
		}
		u, _, _ := s.next(context.Background())
		us = append(us, u)
	}
}

func TestVerdict(t *testing.T) {
	annexStream := ingest.Stream{Kind: ingest.Video, Codec: "h264", Extra: startCodes(testSPS, testPPS)}
	with := func(change func(*ingest.Stream)) ingest.Stream {
		s := videoStream
		change(&s)
		return s
	}
	picture := func(n int, nalus ...[]byte) *ingest.Packet {
		return &ingest.Packet{PTS: time.Duration(n) * 40 * time.Millisecond, Data: lengths(nalus...)}
	}
	long := func(every, n int) (ps []*ingest.Packet) {
		for i := range n {
			head := sliceP
			if i%every == 0 {
				head = sliceI
			}
			ps = append(ps, picture(i, head))
		}
		return ps
	}
	interlaced := bytes.Clone(testSPS)
	interlaced[1] = 110
	for _, c := range []struct {
		name    string
		stream  ingest.Stream
		packets []*ingest.Packet
		passes  bool
	}{
		{"plain", videoStream, long(25, 100), true},
		{"a keyframe every two seconds", videoStream, long(50, 200), true},
		{"a keyframe every four seconds", videoStream, long(100, 200), false},
		{"B slices", videoStream, []*ingest.Packet{picture(0, sliceI), picture(1, sliceBi)}, false},
		{"stamps out of order", videoStream, []*ingest.Packet{picture(0, sliceI), picture(2, sliceP), picture(1, sliceP)}, false},
		{"reordering known", with(func(s *ingest.Stream) { s.Reorder = 2 }), nil, false},
		{"turned", with(func(s *ingest.Stream) { s.Rotation = 90 }), nil, false},
		{"ten bits", with(func(s *ingest.Stream) { s.Extra = startCodes(interlaced) }), nil, false},
		{"HEVC", with(func(s *ingest.Stream) { s.Codec = "hevc" }), nil, false},
		{"Annex B", annexStream, []*ingest.Packet{{Data: startCodes([]byte{9, 0xf0}, sliceI)}, {PTS: 1, Data: startCodes(sliceP)}}, true},
		{"slow once, then steady", videoStream, append(long(60, 61), func() (ps []*ingest.Packet) {
			for i := range 300 {
				head := sliceP
				if i%25 == 24 {
					head = sliceI
				}
				ps = append(ps, picture(61+i, head))
			}
			return ps
		}()...), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := NewFeed(FeedOptions{})
				defer f.Close()
				f.Streams([]ingest.Stream{c.stream, audioStream})
				s := f.subscribe(H264, Opus)
				defer f.unsubscribe(s)
				for _, p := range c.packets {
					f.Packet(p)
				}
				video, audio := f.Transcode()
				if video == c.passes || audio {
					t.Errorf("transcode video %v, audio %v: %s", video, audio, f.Media().Note)
				}
				if got := len(f.Wanted()) == 0; got != c.passes {
					t.Errorf("wanted: %v", f.Wanted())
				}
				got := collect(s)
				if c.passes && c.packets != nil && len(got) == 0 {
					t.Error("nothing came through")
				}
				for _, u := range got {
					if u.key && (len(u.payloads) < 3 || u.payloads[0][0]&0x1f != nalSPS || u.payloads[1][0]&0x1f != nalPPS) {
						t.Error("a keyframe without its parameter sets")
					}
				}
			})
		})
	}
}

// What the encoder makes goes to those who need it, and asking for a keyframe is
// heard once.
func TestEncoded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changes := 0
		f := NewFeed(FeedOptions{OnChange: func() { changes++ }})
		defer f.Close()
		f.Streams([]ingest.Stream{{Index: 0, Kind: ingest.Video, Codec: "hevc"}, {Index: 1, Kind: ingest.Audio, Codec: "aac"}})
		if w := f.Wanted(); w != nil {
			t.Errorf("nobody watches, and %v are wanted", w)
		}
		a, b := f.subscribe(H264, Opus), f.subscribe(VP8, Opus)
		defer f.unsubscribe(a)
		defer f.unsubscribe(b)
		if w := f.Wanted(); len(w) != 3 || changes != 3 {
			t.Errorf("%v are wanted after %d changes", w, changes)
		}
		if !f.takeKey(VP8) || f.takeKey(VP8) {
			t.Error("the joiner's wish for a keyframe")
		}
		at := ingest.Stamp{At: time.Second}
		f.Encoded(VP8, at, false, []byte{1, 2, 3}) // no keyframe before it
		f.Encoded(VP8, at, true, []byte{0, 2, 3})
		f.Encoded(Opus, at, true, []byte{1})
		if got := collect(b); len(got) != 2 || got[0].codec != VP8 || !got[0].key || got[0].ts != f.RTPTime(at) {
			t.Errorf("the VP8 viewer has %d units", len(got))
		}
		if got := collect(a); len(got) != 1 || got[0].codec != Opus {
			t.Errorf("the H.264 viewer has %d units", len(got))
		}
	})
}

// The delay moves by a tenth of the time that passes, holds both tracks by it, and
// leaves RTP times alone.
func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFeed(FeedOptions{})
		defer f.Close()
		f.Streams([]ingest.Stream{videoStream, audioStream})
		s := f.subscribe(H264, Opus)
		defer f.unsubscribe(s)
		c := &clip{key: 25, size: 10}
		sent, begin := map[uint32]time.Time{}, time.Now()
		f.SetDelay(500 * time.Millisecond)
		held := time.Duration(0)
		for time.Since(begin) < 8*time.Second {
			p := c.picture()
			sent[f.RTPTime(ingest.Stamp{At: p.PTS})] = time.Now()
			f.Packet(p)
			f.Packet(c.sound())
			for end := time.Now().Add(40 * time.Millisecond); time.Now().Before(end); {
				time.Sleep(time.Millisecond)
				for _, u := range collect(s) {
					if u.codec != H264 {
						continue
					}
					was, ok := sent[u.ts]
					if !ok {
						t.Fatal("an RTP time was changed")
					}
					d := time.Since(was)
					if step := d - held; step > 6*time.Millisecond || step < -2*time.Millisecond {
						t.Fatalf("the delay stepped by %v to %v", step, d)
					}
					held = d
				}
			}
		}
		if held < 500*time.Millisecond || held > 502*time.Millisecond || f.Delay() != 500*time.Millisecond {
			t.Errorf("held by %v in the end", held)
		}
	})
}

// A viewer that doesn't read is bounded, loses pictures up to a keyframe, and
// costs another nothing.
func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFeed(FeedOptions{})
		defer f.Close()
		f.Streams([]ingest.Stream{videoStream, audioStream})
		stuck, good := f.subscribe(H264, Opus), f.subscribe(H264, Opus)
		defer f.unsubscribe(stuck)
		defer f.unsubscribe(good)
		c := &clip{key: 25, size: 20_000}
		const n = 3000
		pictures, sounds := 0, 0
		for range n {
			f.Packet(c.picture())
			f.Packet(c.sound())
			for _, u := range collect(good) {
				if u.codec == H264 {
					pictures++
				} else {
					sounds++
				}
			}
		}
		if pictures != n || sounds != n || good.drops() != 0 {
			t.Errorf("the good viewer has %d pictures and %d sounds, and lost %d", pictures, sounds, good.drops())
		}
		stuck.mu.Lock()
		if len(stuck.queue) > queueUnits || stuck.bytes > queueBytes {
			t.Errorf("%d units, %d bytes wait", len(stuck.queue), stuck.bytes)
		}
		stuck.mu.Unlock()
		if stuck.drops() == 0 {
			t.Error("nothing was counted")
		}
		for _, u := range collect(stuck) {
			if u.codec == H264 {
				if !u.key {
					t.Error("what it sees first is no keyframe")
				}
				break
			}
		}
	})
}

func FuzzUnit(f *testing.F) {
	f.Add(avcExtra(), lengths(testSPS, testPPS, sliceI))
	f.Add(startCodes(testSPS, testPPS), startCodes(testSPS, testPPS, sliceI, sliceBi))
	f.Add([]byte{1, 0, 0, 0, 0xff, 0xff, 0xff}, []byte{0, 0, 0, 1, 0x67})
	f.Fuzz(func(t *testing.T, extra, data []byte) {
		j := newH264Judge(ingest.Stream{Codec: "h264", Extra: extra})
		for i := range 3 {
			au, _ := j.unit(data, time.Duration(i)*time.Millisecond)
			if j.verdict() != "" && au != nil {
				t.Fatal("it passes and does not")
			}
			H264.payloader().Payload(mtu, au)
		}
	})
}

func FuzzFragment(f *testing.F) {
	f.Add("a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=candidate:1 1 udp 2130706431 127.0.0.1 5000 typ host\r\na=end-of-candidates\r\n")
	f.Add("a=candidate:1 1 tcp 1 ::1 9 typ host tcptype active")
	f.Add("m=\na=mid:x\n=\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseFragment(text)
		if err != nil {
			return
		}
		// Applied to an offer, it comes out as it went in.
		if p.ufrag != "" {
			offer := "v=0\r\nm=audio 9 X 0\r\na=mid:0\r\na=ice-ufrag:old0\r\na=ice-pwd:old\r\na=candidate:old\r\n"
			if got := ufragOf(p.apply(offer)); got != p.ufrag {
				t.Fatalf("%q became %q", p.ufrag, got)
			}
		}
	})
}
