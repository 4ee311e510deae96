package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// captions are the barcodes that the network read, by the RTP time of their frame.
func (s *served) captions(source string) (barcodes map[uint32]int, heat map[uint32]bool) {
	s.t.Helper()
	barcodes, heat = map[uint32]int{}, map[uint32]bool{}
	_, b := s.get("api/sources/" + source + "/results")
	for line := range strings.Lines(string(b)) {
		var r result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			s.t.Fatal(err)
		}
		switch r.Kind {
		case "caption":
			if n, err := captionIndex(r.Caption.Text); err == nil {
				barcodes[r.RTP] = n
			}
		case "heatmap":
			heat[r.RTP] = true
		}
	}
	return barcodes, heat
}

// A browser that opens the page sees the picture move, and what is drawn on it
// belongs to it: each frame on the canvas is the one in which the network that
// captioned its RTP time read the barcode. The sound, which is turned on at once, gets
// to the loudspeaker: the browser throws next to none of its packets away.
func TestServeChromium(t *testing.T) {
	s := serve(t, "--models", pack, "--localize", "sync", "--caption-every", "200ms", "--sync-delay", "2s", barcodes(t))
	s.until("results", func() bool {
		_, b := s.get("api/sources/barcodes/results")
		return strings.Contains(string(b), "heatmap")
	})
	p := s.browse(t, "")
	p.unmute()
	var all, read, exact, compared, same, heat, own int
	rtps := map[uint32]bool{}
	var waiting []seenFrame // for the network's answer
	s.until("pictures with what was found on them", func() bool {
		seen := p.take().Seen
		captions, _ := s.captions("barcodes")
		for _, f := range seen {
			all++
			n, ok := f.index()
			if !ok {
				continue
			}
			read++
			rtps[f.RTP] = true
			if f.Exact {
				exact++
				waiting = append(waiting, f)
			}
			for _, h := range f.Heat {
				heat++
				if h.RTP == f.RTP {
					own++
					if !h.Own {
						t.Errorf("the heat map of frame %d is drawn on it, but not as its own", n)
					}
				}
			}
		}
		waiting = slices.DeleteFunc(waiting, func(f seenFrame) bool {
			c, known := captions[f.RTP]
			if n, _ := f.index(); known {
				compared++
				if c == n {
					same++
				}
			}
			return known
		})
		return len(rtps) >= 25 && compared >= 10 && own > 0
	})
	var received, discarded int
	s.until("ten seconds of sound", func() bool {
		received, discarded, _ = p.sound()
		return received >= 500
	})
	if discarded*20 > received {
		t.Errorf("the browser threw %d of %d packets of the sound away", discarded, received)
	}
	t.Logf("%d pictures, %d of them read, %d exact, %d of %d compared are the same; %d heat maps, %d on their own frame",
		all, read, exact, same, compared, heat, own)
	if read*10 < all*9 {
		t.Errorf("the barcodes of %d of %d pictures could be read", read, all)
	}
	if same*100 < compared*99 {
		t.Errorf("%d of %d pictures are those in which the network read the same barcode", same, compared)
	}
}
