package mediatest

import (
	"testing"

	"pgregory.net/rapid"
)

// picture returns the RGB24 picture that a player shows of a stored one: each
// pixel is looked up where the definition of the rotation puts it.
func picture(w, h, rotation, index int) (int, int, []byte) {
	plane := make([]byte, w*h)
	drawLuma(plane, w, h, rotation, index)
	uw, uh := w, h
	if rotation%180 != 0 {
		uw, uh = h, w
	}
	pix := make([]byte, 3*uw*uh)
	for y := range h {
		for x := range w {
			ux, uy := x, y
			switch rotation {
			case 90:
				ux, uy = h-1-y, x
			case 180:
				ux, uy = w-1-x, h-1-y
			case 270:
				ux, uy = y, w-1-x
			}
			v := 255 * (int(plane[y*w+x]) - 16) / 219
			for c := range 3 {
				pix[3*(uy*uw+ux)+c] = byte(v)
			}
		}
	}
	return uw, uh, pix
}

func TestBarcodeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		index := rapid.IntRange(0, maxIndex).Draw(t, "index")
		w, h := 4*rapid.IntRange(2, 40).Draw(t, "w"), 4*rapid.IntRange(2, 40).Draw(t, "h")
		rotation := 90 * rapid.IntRange(0, 3).Draw(t, "turns")
		uw, uh, pix := picture(w, h, rotation, index)
		if got, ok := ReadRGB(uw, uh, pix); !ok || got != index {
			t.Fatalf("read %d, %v", got, ok)
		}
	})
}

// A picture that is not upright, is mirrored or has one wrong cell is told apart.
func TestBarcodeRefuses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		index := rapid.IntRange(0, maxIndex).Draw(t, "index")
		w, h, pix := picture(32, 32, 0, index)
		cell := rapid.IntRange(0, 15).Draw(t, "cell")
		for y := range 8 {
			for x := range 8 {
				for c := range 3 {
					p := &pix[3*((cell/4*8+y)*w+cell%4*8+x)+c]
					*p = 255 - *p
				}
			}
		}
		if got, ok := ReadRGB(w, h, pix); ok {
			t.Fatalf("%d with cell %d turned over reads %d", index, cell, got)
		}
	})
	for _, size := range [][2]int{{0, 0}, {3, 3}, {4, 5}, {-4, -4}} {
		if _, ok := ReadRGB(size[0], size[1], make([]byte, 48)); ok {
			t.Errorf("%v with 48 bytes is accepted", size)
		}
	}
}

// The layout is fixed for the whole project: this is index 5, by hand.
func TestBarcodeByHand(t *testing.T) {
	want := "1010" + "0000" + "0000" + "0101" // mark 10, two ones, 000000000101
	got := ""
	for _, white := range Encode(5) {
		if white {
			got += "1"
		} else {
			got += "0"
		}
	}
	if got != want {
		t.Errorf("index 5 is %s, want %s", got, want)
	}
}
