package infer

import "math"

// Softmax writes the posterior of logits into dst, which has the same length, and
// returns it. It subtracts the largest logit first, so no finite input
// overflows.
func Softmax(dst []float64, logits []float32) []float64 {
	most := math.Inf(-1)
	for _, v := range logits {
		most = math.Max(most, float64(v))
	}
	sum := 0.0
	for i, v := range logits {
		dst[i] = math.Exp(float64(v) - most)
		sum += dst[i]
	}
	for i := range dst {
		dst[i] /= sum
	}
	return dst
}
