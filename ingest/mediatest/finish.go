package mediatest

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// finish does to a muxed file what no muxer does by itself, and corrects the
// truth where it cuts.
func finish(ctx context.Context, ffmpeg, path string, s spec, tr *prediction) error {
	edit := func(f func([]byte) error) error {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := f(b); err != nil {
			return err
		}
		return os.WriteFile(path, b, 0o644)
	}
	if v := s.parts[0].video; v != nil && v.rotation != 0 {
		if err := edit(func(b []byte) error { return turnTracks(b, v.rotation) }); err != nil {
			return err
		}
	}
	if s.editCut != 0 {
		if err := edit(func(b []byte) error { return cutEdits(b, s.editCut, s.cutVideoOnly) }); err != nil {
			return err
		}
	}
	if s.editPrime != 0 {
		if err := edit(func(b []byte) error { return skipPriming(b, s.editPrime) }); err != nil {
			return err
		}
	}
	if s.cutAt != 0 {
		return cutTail(ctx, ffmpeg, path, s, tr)
	}
	return nil
}

// box returns the payload of the nth child of the given type, which shares
// memory with b, or nil.
func box(b []byte, kind string, nth int) []byte {
	for len(b) >= 8 {
		size := int(binary.BigEndian.Uint32(b))
		if size < 8 || size > len(b) {
			return nil
		}
		if string(b[4:8]) == kind {
			if nth == 0 {
				return b[8:size]
			}
			nth--
		}
		b = b[size:]
	}
	return nil
}

// tracks calls f with every track of an MP4 file and its kind ("vide", "soun").
func tracks(b []byte, f func(trak []byte, kind string) error) error {
	moov := box(b, "moov", 0)
	for n := 0; ; n++ {
		trak := box(moov, "trak", n)
		if trak == nil {
			if n == 0 {
				return fmt.Errorf("no track found")
			}
			return nil
		}
		hdlr := box(box(trak, "mdia", 0), "hdlr", 0)
		if len(hdlr) < 12 {
			return fmt.Errorf("track %d has no handler", n)
		}
		if err := f(trak, string(hdlr[8:12])); err != nil {
			return err
		}
	}
}

// turnTracks writes the matrix that turns the picture clockwise by deg into the
// header of the video track.
func turnTracks(b []byte, deg int) error {
	return tracks(b, func(trak []byte, kind string) error {
		if kind != "vide" {
			return nil
		}
		tkhd := box(trak, "tkhd", 0)
		if len(tkhd) < 84 || tkhd[0] != 0 {
			return fmt.Errorf("unexpected track header")
		}
		const one = 1 << 16
		// a, b, u, c, d, v: a point (x, y) is shown at (a*x+c*y, b*x+d*y).
		m := map[int][6]int32{90: {0, one, 0, -one, 0, 0}, 180: {-one, 0, 0, 0, -one, 0}, 270: {0, -one, 0, one, 0, 0}}[deg]
		for i, v := range m {
			binary.BigEndian.PutUint32(tkhd[40+4*i:], uint32(v))
		}
		return nil
	})
}

// cutEdits makes the last edit of every track, or of the video alone, begin ms
// later in the media.
func cutEdits(b []byte, ms int64, videoOnly bool) error {
	movie := box(box(b, "moov", 0), "mvhd", 0)
	if len(movie) < 16 || movie[0] != 0 {
		return fmt.Errorf("unexpected movie header")
	}
	movieScale := int64(binary.BigEndian.Uint32(movie[12:]))
	return tracks(b, func(trak []byte, kind string) error {
		if videoOnly && kind != "vide" {
			return nil
		}
		elst, mdhd := box(box(trak, "edts", 0), "elst", 0), box(box(trak, "mdia", 0), "mdhd", 0)
		if len(elst) < 20 || elst[0] != 0 || len(mdhd) < 16 || mdhd[0] != 0 {
			return fmt.Errorf("%s track: no edit", kind)
		}
		last := elst[len(elst)-12:]
		scale := int64(binary.BigEndian.Uint32(mdhd[12:]))
		if ms*scale%1000 != 0 {
			return fmt.Errorf("%s track: %d ms are no whole ticks", kind, ms)
		}
		binary.BigEndian.PutUint32(last, binary.BigEndian.Uint32(last)-uint32(ms*movieScale/1000))
		binary.BigEndian.PutUint32(last[4:], binary.BigEndian.Uint32(last[4:])+uint32(ms*scale/1000))
		return nil
	})
}

// skipPriming makes the second edit of the sound begin behind so many samples,
// and the first, which is empty, longer by as much.
func skipPriming(b []byte, samples int64) error {
	movieScale := int64(binary.BigEndian.Uint32(box(box(b, "moov", 0), "mvhd", 0)[12:]))
	return tracks(b, func(trak []byte, kind string) error {
		if kind != "soun" {
			return nil
		}
		elst, mdhd := box(box(trak, "edts", 0), "elst", 0), box(box(trak, "mdia", 0), "mdhd", 0)
		if len(elst) != 32 || elst[0] != 0 || len(mdhd) < 16 || mdhd[0] != 0 {
			return fmt.Errorf("not exactly an empty edit and one more")
		}
		scale := int64(binary.BigEndian.Uint32(mdhd[12:]))
		if samples*movieScale%scale != 0 {
			return fmt.Errorf("%d samples are no whole ticks of the movie", samples)
		}
		ticks := uint32(samples * movieScale / scale)
		binary.BigEndian.PutUint32(elst[8:], binary.BigEndian.Uint32(elst[8:])+ticks)
		binary.BigEndian.PutUint32(elst[20:], binary.BigEndian.Uint32(elst[20:])-ticks)
		binary.BigEndian.PutUint32(elst[24:], binary.BigEndian.Uint32(elst[24:])+uint32(samples))
		return nil
	})
}

// cutTail ends the file in the middle of a picture, and takes from the truth
// what lies behind it.
func cutTail(ctx context.Context, ffmpeg, path string, s spec, tr *prediction) error {
	probe := filepath.Join(filepath.Dir(ffmpeg), "ffprobe")
	out, err := run(ctx, probe, "-v", "error", "-show_entries", "packet=codec_type,pos,size", "-of", "json", path)
	if err != nil {
		return err
	}
	var list struct {
		Packets []struct {
			Type string `json:"codec_type"`
			Pos  string
			Size string
		}
	}
	if err := json.Unmarshal(out, &list); err != nil {
		return err
	}
	at := func(text string) int64 { n, _ := strconv.ParseInt(text, 10, 64); return n }
	var pos int64
	pictures := 0
	for _, p := range list.Packets {
		if p.Type == "video" {
			if pictures == s.cutAt {
				pos = at(p.Pos)
				if err := os.Truncate(path, pos+at(p.Size)/2); err != nil {
					return err
				}
			}
			pictures++
		}
	}
	if pos == 0 {
		return fmt.Errorf("%s: no picture %d to cut", path, s.cutAt)
	}
	// A file without B frames stores the packets in the order of presentation.
	var whole, last int64
	for _, p := range list.Packets {
		if p.Type != "audio" {
			continue
		}
		if n := at(p.Pos); n > 0 {
			last = n // later packets of the same PES have no place of their own
		}
		if last < pos {
			whole++
		}
	}
	tr.Video.Partial = tr.Frames[s.cutAt].Index
	tr.Frames = tr.Frames[:s.cutAt]
	a, enc := tr.Audio, s.parts[0].audio
	a.Samples = min(a.Samples, whole*enc.frame-enc.prime+a.Delay)
	a.Padding = 0
	for i, c := range tr.Clicks {
		if c.Sample >= a.Samples-enc.frame {
			tr.Clicks = tr.Clicks[:i]
			break
		}
	}
	for i := range tr.Clicks {
		if c := &tr.Clicks[i]; c.T >= tr.Frames[s.cutAt-1].PTS+tr.Frames[s.cutAt-1].Dur {
			c.Frame = -1
		}
	}
	return nil
}
