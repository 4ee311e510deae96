package models

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// Bounds of a file of labels.
const (
	maxLabels     = 16 << 20 // bytes
	maxLabelCount = 1 << 20
	maxLabel      = 4 << 10
)

// Labels reads a file of labels, one a line; line n (from 0) names class n. Empty
// lines at the end are dropped (published lists have them); elsewhere they are
// classes without a name.
func Labels(file string) ([]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("models: labels: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxLabels+1))
	if err != nil {
		return nil, fmt.Errorf("models: labels: %w", err)
	}
	labels, err := parseLabels(data)
	if err != nil {
		return nil, fmt.Errorf("models: labels %s: %w", file, err)
	}
	return labels, nil
}

func parseLabels(data []byte) ([]string, error) {
	if len(data) > maxLabels {
		return nil, fmt.Errorf("it is larger than %d bytes", maxLabels)
	}
	if !utf8.Valid(data) {
		return nil, errors.New("it is not UTF-8")
	}
	if bytes.IndexByte(data, 0) >= 0 {
		return nil, errors.New("it is not a text")
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	if strings.Count(text, "\n") > maxLabelCount {
		return nil, fmt.Errorf("it has more than %d lines", maxLabelCount)
	}
	labels := strings.Split(text, "\n")
	for i, l := range labels {
		labels[i] = strings.TrimRight(l, "\r")
		if len(l) > maxLabel {
			return nil, fmt.Errorf("line %d is longer than %d bytes", i+1, maxLabel)
		}
	}
	for len(labels) > 0 && labels[len(labels)-1] == "" {
		labels = labels[:len(labels)-1]
	}
	if len(labels) == 0 {
		return nil, errors.New("it is empty")
	}
	return labels, nil
}
