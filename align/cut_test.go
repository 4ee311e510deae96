package align

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/seehear/seehear/decode"
)

const shot = 48 // side of the pictures below

// painter draws frame n of a film.
type painter func(n int, set func(x, y int, r, g, b byte))

// texture is a picture of smooth random blobs, seen through a window at (dx, dy).
func texture(seed uint64, dx, dy float64) func(x, y int) (r, g, b byte) {
	const cells = 12
	rng := rand.New(rand.NewPCG(seed, 1))
	var grid [cells][cells][3]float64
	for i := range grid {
		for j := range grid[i] {
			for c := range 3 {
				grid[i][j][c] = rng.Float64() * 255
			}
		}
	}
	mix := func(a, b, t float64) float64 { return a + (b-a)*t }
	return func(x, y int) (byte, byte, byte) {
		u, v := (float64(x)+dx)/8, (float64(y)+dy)/8
		i, j := int(u), int(v)
		var c [3]float64
		for k := range c {
			at := func(i, j int) float64 { return grid[(i%cells+cells)%cells][(j%cells+cells)%cells][k] }
			c[k] = mix(mix(at(i, j), at(i+1, j), u-float64(i)), mix(at(i, j+1), at(i+1, j+1), u-float64(i)), v-float64(j))
		}
		return byte(c[0]), byte(c[1]), byte(c[2])
	}
}

// cuts returns the numbers of the frames that an EveryCut need takes of a film of
// n frames, without the first.
func cuts(t testing.TB, n int, paint painter) []int {
	t.Helper()
	m := new(media)
	var units []decode.Unit
	for i := range n {
		f := m.pool.Frame([][2]int{{shot, shot}})
		f.At, f.Dur = time.Duration(i)*40*ms, 40*ms
		pix := f.Images[0].Pix
		paint(i, func(x, y int, r, g, b byte) { copy(pix[3*(y*shot+x):], []byte{r, g, b}) })
		units = append(units, decode.Unit{Frame: f})
	}
	var found []int
	collect(t, m, decode.Outputs{Sizes: []decode.Size{{W: shot, H: shot}}}, bothStreams[:1], []Need{{Cadence: EveryCut, Image: 0, Sound: -1}}, Options{}, units, func(x *Moment) {
		if x.Cut <= 0 || x.Cut > 1 {
			t.Errorf("strength %g at %v", x.Cut, x.At)
		}
		if x.At > 0 {
			found = append(found, int(x.At/(40*ms)))
		}
	})
	return found
}

func TestCuts(t *testing.T) {
	noise := rand.New(rand.NewPCG(7, 7))
	shade := func(v byte, add int) byte { return byte(min(255, max(0, int(v)+add))) }
	film := func(seed func(n int) uint64, dx func(n int) float64, light func(n int) int, grain int) painter {
		return func(n int, set func(x, y int, r, g, b byte)) {
			tex := texture(seed(n), dx(n), 0)
			for y := range shot {
				for x := range shot {
					r, g, b := tex(x, y)
					d := light(n)
					if grain > 0 {
						d += noise.IntN(2*grain+1) - grain
					}
					set(x, y, shade(r, d), shade(g, d), shade(b, d))
				}
			}
		}
	}
	still := func(int) float64 { return 0 }
	day := func(int) int { return 0 }
	one := func(int) uint64 { return 1 }
	three := func(n int) uint64 { return 1 + uint64(n/20) }
	at := func(v int, ns ...int) func(int) int {
		return func(n int) int {
			if slices.Contains(ns, n) {
				return v
			}
			return 0
		}
	}
	for _, c := range []struct {
		name  string
		paint painter
		want  []int
	}{
		{"still", film(one, still, day, 0), nil},
		{"hard cuts", film(three, still, day, 0), []int{20, 40}},
		{"hard cuts under noise", film(three, still, day, 25), []int{20, 40}},
		{"hard cuts in motion", film(three, func(n int) float64 { return float64(n) * 1.5 }, day, 5), []int{20, 40}},
		{"noise", film(one, still, day, 60), nil},
		{"pan", film(one, func(n int) float64 { return float64(n) * 3 }, day, 5), nil},
		{"pan that starts", film(one, func(n int) float64 { return float64(max(0, n-30)) * 4 }, day, 0), nil},
		{"flash", film(one, still, at(180, 30), 0), nil},
		{"flash of two frames", film(one, still, at(180, 30, 31), 0), nil},
		{"dark frame", film(one, still, at(-200, 30), 0), nil},
		{"fade", film(one, still, func(n int) int { return -4 * n }, 0), nil},
		{"flicker", film(one, still, func(n int) int { return 60 * (n % 2) }, 0), nil},
		{"every frame another", film(func(n int) uint64 { return uint64(n) }, still, day, 0), nil},
		{"cut behind a flash", film(three, still, at(180, 10), 0), []int{20, 40}},
		{"cut into the last frame", film(func(n int) uint64 { return uint64(n / 59) }, still, day, 0), []int{59}},
	} {
		if got := cuts(t, 60, c.paint); !slices.Equal(got, c.want) {
			t.Errorf("%s: cuts at %v, want %v", c.name, got, c.want)
		}
	}
}

// Two takes that ffmpeg has joined: the cut is found, encoded as it is, and
// nothing else.
func TestRealCut(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Fatal("ffmpeg is needed: make deps installs it")
	}
	ffmpeg := func(in io.Reader, args ...string) *bytes.Buffer {
		out := new(bytes.Buffer)
		cmd := exec.Command("ffmpeg", append([]string{"-nostdin", "-v", "error"}, args...)...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, os.Stderr
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		return out
	}
	film := ffmpeg(nil,
		"-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=1.2", "-f", "lavfi", "-i", "testsrc=s=160x120:r=25:d=1.2",
		"-filter_complex", "concat=n=2:v=1:a=0", "-c:v", "libx264", "-crf", "38", "-pix_fmt", "yuv420p", "-f", "mpegts", "-")
	raw := ffmpeg(film, "-f", "mpegts", "-i", "-",
		"-vf", "scale=48:48:flags=bilinear", "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
	frame := make([]byte, 3*shot*shot)
	n := raw.Len() / len(frame)
	if n != 60 {
		t.Fatalf("%d frames", n)
	}
	got := cuts(t, n, func(_ int, set func(x, y int, r, g, b byte)) {
		if _, err := io.ReadFull(raw, frame); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(frame); i += 3 {
			set(i/3%shot, i/3/shot, frame[i], frame[i+1], frame[i+2])
		}
	})
	if !slices.Equal(got, []int{30}) {
		t.Errorf("cuts at %v, want 30", got)
	}
}
