package models

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
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

// Unknown is the token of a vocabulary that stands for every word it lacks.
const Unknown = "<unk>"

// checkLists checks what a family knows of its lists beyond their form: that classes
// have numbers elsewhere, each its own, and that a vocabulary knows what it lacks.
func checkLists(m *Model, lists map[string][]string) error {
	for _, pair := range [][2]string{{"imagenet", "objects"}, {"places2", "scenes"}} {
		list, of := pair[0], pair[1]
		if _, ok := lists[list]; !ok {
			continue
		}
		if len(lists[list]) != len(lists[of]) {
			return fmt.Errorf("labels.%s: there are %d of it for %d %s", list, len(lists[list]), len(lists[of]), of)
		}
		taken := map[uint64]bool{}
		for i, text := range lists[list] {
			n, err := strconv.ParseUint(text, 10, 31)
			if err != nil || taken[n] {
				return fmt.Errorf("labels.%s: line %d: %q is not a number of one class alone", list, i+1, text)
			}
			taken[n] = true
		}
	}
	if m.Family == "embedding" && !slices.Contains(lists["vocabulary"], Unknown) {
		return fmt.Errorf("labels.vocabulary: there is no %s in it", Unknown)
	}
	return nil
}
