package hub

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Messages of any size come out of the decoder as they went in.
func TestChunksRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d Decoder
		number := rapid.Uint32().Draw(t, "first")
		var lost uint64
		for range rapid.IntRange(1, 5).Draw(t, "messages") {
			n := rapid.OneOf(rapid.IntRange(1, 100), rapid.IntRange(piece-2, piece+2), rapid.IntRange(3*piece-1, 3*piece+1)).Draw(t, "bytes")
			msg := bytes.Repeat([]byte{rapid.Byte().Draw(t, "fill")}, n)
			chunks := Chunks(n)
			for i := range chunks {
				chunk := AppendChunk(nil, msg, number, i)
				if len(chunk) > MaxChunk {
					t.Fatalf("chunk of %d bytes", len(chunk))
				}
				got, gotNumber, err := d.Push(chunk)
				switch {
				case err != nil:
					t.Fatal(err)
				case i < chunks-1 && got != nil:
					t.Fatalf("a message after %d of %d chunks", i+1, chunks)
				case i == chunks-1 && (!bytes.Equal(got, msg) || gotNumber != number):
					t.Fatalf("%d bytes as message %d, want %d as %d", len(got), gotNumber, n, number)
				}
			}
			if d.Lost() != lost {
				t.Fatalf("lost %d, want %d", d.Lost(), lost)
			}
			gap := rapid.Uint32Range(0, 1000).Draw(t, "gap")
			number += 1 + gap
			lost += uint64(gap)
		}
	})
}

func TestDecoderRefuses(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 3*piece)
	change := func(i int, b byte) []byte {
		c := AppendChunk(nil, []byte("{}"), 7, 0)
		c[i] = b
		return c
	}
	for _, tt := range []struct {
		chunks [][]byte
		want   string
	}{
		{[][]byte{{}}, "0 bytes"},
		{[][]byte{AppendChunk(nil, []byte("{}"), 7, 0)[:12]}, "12 bytes"},
		{[][]byte{append(AppendChunk(nil, long, 7, 0), 'x')}, "bytes"},
		{[][]byte{change(0, 'X')}, "begins with"},
		{[][]byte{change(2, 2)}, "version 2"},
		{[][]byte{change(3, 1)}, "flags"},
		{[][]byte{change(11, 0)}, "index 0 of 0"},
		{[][]byte{change(9, 1)}, "index 1 of 1"},
		{[][]byte{change(10, 0xff)}, "more than"},
		{[][]byte{change(11, 2)}, "only the last"},
		{[][]byte{AppendChunk(nil, long, 7, 1)}, "was due"},
		{[][]byte{AppendChunk(nil, long, 7, 0), AppendChunk(nil, long, 7, 2)}, "was due"},
		{[][]byte{AppendChunk(nil, long, 7, 0), AppendChunk(nil, long, 8, 1)}, "was due"},
		{[][]byte{AppendChunk(nil, long, 7, 0), AppendChunk(nil, []byte("{}"), 8, 0)}, "was due"},
		{[][]byte{AppendChunk(nil, []byte("{}"), 7, 0), AppendChunk(nil, []byte("{}"), 7, 0)}, "message 7 behind message 7"},
	} {
		var d Decoder
		for i, c := range tt.chunks {
			msg, _, err := d.Push(c)
			if i < len(tt.chunks)-1 {
				if err != nil {
					t.Errorf("%s: chunk %d: %v", tt.want, i, err)
				}
				continue
			}
			if err == nil || msg != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		}
		// It goes on with the next message.
		if msg, n, err := d.Push(AppendChunk(nil, []byte(`{"a":1}`), 9, 0)); err != nil || n != 9 || string(msg) != `{"a":1}` {
			t.Errorf("after %q: %d %s %v", tt.want, n, msg, err)
		}
	}
}

// No bytes make the decoder panic, hold more than a message, or give one that
// does not encode to the chunks it came from.
func FuzzDecoder(f *testing.F) {
	join := func(chunks ...[]byte) []byte {
		var b []byte
		for _, c := range chunks {
			b = binary.BigEndian.AppendUint16(b, uint16(len(c)))
			b = append(b, c...)
		}
		return b
	}
	long := bytes.Repeat([]byte("x"), 2*piece+5)
	f.Add(join(AppendChunk(nil, []byte("{}"), 1, 0), AppendChunk(nil, []byte("[]"), 5, 0)))
	f.Add(join(AppendChunk(nil, long, 1, 0), AppendChunk(nil, long, 1, 1), AppendChunk(nil, long, 1, 2)))
	f.Add(join(AppendChunk(nil, long, 1, 0), AppendChunk(nil, []byte("{}"), 2, 0), []byte("SH")))
	f.Fuzz(func(t *testing.T, in []byte) {
		var d Decoder
		var came [][]byte
		for len(in) >= 2 {
			n := min(int(binary.BigEndian.Uint16(in)), len(in)-2)
			chunk := in[2 : 2+n]
			in = in[2+n:]
			msg, number, err := d.Push(chunk)
			if err != nil {
				came = nil
				continue
			}
			came = append(came, chunk)
			if msg == nil {
				continue
			}
			if len(msg) > MaxMessage || len(came) != Chunks(len(msg)) {
				t.Fatalf("%d bytes of %d chunks", len(msg), len(came))
			}
			for i, c := range came {
				if !bytes.Equal(AppendChunk(nil, msg, number, i), c) {
					t.Fatalf("chunk %d differs", i)
				}
			}
			came = nil
		}
	})
}
