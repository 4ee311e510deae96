package localize

import (
	"errors"

	"github.com/seehear/seehear/models"
)

// spectrum is the front end of the sound encoder: window of sound in, spectrogram
// of bins x frames out.
type spectrum interface {
	size() (bins, frames int)
	fill(dst, pcm []float32)
}

func newSpectrum(models.STFT, int, int) (spectrum, error) { return nil, errors.New("the log-psd front end is not there yet") }
