package ffmpeg

// Values of AVColorSpace, AVColorRange, AVColorTransferCharacteristic and
// AVChromaLocation that matter here (they are those of ITU-T H.273).
const (
	spaceBT709     = 1
	spaceFCC       = 4
	spaceBT470BG   = 5
	spaceSMPTE170M = 6
	spaceSMPTE240M = 7
	spaceYCgCo     = 8
	spaceBT2020NC  = 9
	spaceBT2020C   = 10
	spaceICtCp     = 14

	rangeLimited = 1
	rangeFull    = 2

	transferPQ  = 16
	transferHLG = 18
)

// matrix holds the weights of chroma in R, G and B for chroma in [-0.5, 0.5];
// luma has weight 1 in each.
type matrix struct{ rU, rV, gU, gV, bU, bV float64 }

// fromLuma is the matrix whose luma is kr*R + kg*G + kb*B.
func fromLuma(kr, kb float64) matrix {
	kg := 1 - kr - kb
	return matrix{
		rV: 2 * (1 - kr),
		gU: -2 * (1 - kb) * kb / kg,
		gV: -2 * (1 - kr) * kr / kg,
		bU: 2 * (1 - kb),
	}
}

// matrixOf chooses the matrix by the frame's own tag.
//
// An untagged picture is taken as BT.709 if it is larger than standard
// definition (a side of 1280 or a height above 576), else as BT.601, as players
// do; libswscale would take BT.601 for all, which tints nearly every untagged HD
// file. An untagged PQ or HLG picture is BT.2020. What has no 3x3 matrix
// (constant luminance, ICtCp) is read as BT.2020 non-constant: the picture keeps
// its shapes and its greys, the colours are near.
func matrixOf(space, transfer, w, h int) matrix {
	switch space {
	case spaceBT709:
		return fromLuma(0.2126, 0.0722)
	case spaceFCC:
		return fromLuma(0.30, 0.11)
	case spaceBT470BG, spaceSMPTE170M:
		return fromLuma(0.299, 0.114)
	case spaceSMPTE240M:
		return fromLuma(0.212, 0.087)
	case spaceYCgCo:
		return matrix{rU: -1, rV: 1, gU: 1, bU: -1, bV: -1}
	case spaceBT2020NC, spaceBT2020C, spaceICtCp:
		return fromLuma(0.2627, 0.0593)
	}
	switch {
	case transfer == transferPQ || transfer == transferHLG:
		return fromLuma(0.2627, 0.0593)
	case max(w, h) >= 1280 || min(w, h) > 576:
		return fromLuma(0.2126, 0.0722)
	}
	return fromLuma(0.299, 0.114)
}

// chromaSite returns where the first chroma sample lies, in halves of a luma
// sample from the first luma sample, for a plane that is subsampled by two.
// Unsaid, it is MPEG-2's: on the left, between the rows.
func chromaSite(location int) (x2, y2 int) {
	switch location {
	case 2: // centre
		return 1, 1
	case 3: // top left
		return 0, 0
	case 4: // top
		return 1, 0
	case 5: // bottom left
		return 0, 2
	case 6: // bottom
		return 1, 2
	}
	return 0, 1
}
