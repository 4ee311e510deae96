package main

import (
	"strconv"
	"strings"
	"unicode"
)

// oneLine returns text for a terminal: control characters, which a file's name
// may hold, are escaped, so that they neither break the line nor steer the
// terminal.
func oneLine(s string) string {
	if !strings.ContainsFunc(s, unicode.IsControl) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsControl(r) {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
