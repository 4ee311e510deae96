package rtc

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pion/ice/v4"
)

// maxCandidates bounds what one fragment may hold.
const maxCandidates = 100

// fragment is a body of type application/trickle-ice-sdpfrag (RFC 8840): ICE
// credentials and candidates.
type fragment struct {
	ufrag, pwd string
	candidates []candidate
	end        bool
}

type candidate struct {
	mid  string
	line string // "candidate:…"
}

// parseFragment reads a fragment. Lines that say nothing of ICE are skipped.
func parseFragment(body string) (f fragment, err error) {
	mid := ""
	for line := range strings.Lines(body) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		if len(line) < 2 || line[1] != '=' {
			return fragment{}, fmt.Errorf("not a line of SDP: %.40q", line)
		}
		name, value, _ := strings.Cut(strings.TrimPrefix(line, "a="), ":")
		switch {
		case strings.HasPrefix(line, "m="):
			mid = ""
		case line[0] != 'a':
		case name == "mid":
			mid = value
		case name == "ice-ufrag":
			if f.ufrag != "" && f.ufrag != value {
				return fragment{}, errors.New("two values of ice-ufrag")
			}
			f.ufrag = value
		case name == "ice-pwd":
			if f.pwd != "" && f.pwd != value {
				return fragment{}, errors.New("two values of ice-pwd")
			}
			f.pwd = value
		case name == "end-of-candidates":
			f.end = true
		case name == "candidate":
			if len(f.candidates) == maxCandidates {
				return fragment{}, fmt.Errorf("more than %d candidates", maxCandidates)
			}
			if _, err = ice.UnmarshalCandidate(value); err != nil {
				return fragment{}, fmt.Errorf("candidate %.80q: %w", value, err)
			}
			f.candidates = append(f.candidates, candidate{mid: mid, line: "candidate:" + value})
		}
	}
	for _, c := range []struct {
		name, value string
		least       int
	}{{"ice-ufrag", f.ufrag, 4}, {"ice-pwd", f.pwd, 22}} {
		if c.value != "" && (len(c.value) < c.least || len(c.value) > 256 || !iceChars(c.value)) {
			return fragment{}, fmt.Errorf("%s: %d to 256 letters, digits, + and /", c.name, c.least)
		}
	}
	return f, nil
}

func iceChars(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '+', c == '/':
		default:
			return false
		}
	}
	return true
}

// apply returns the offer as the peer would make it now: with the fragment's
// credentials and candidates.
func (f fragment) apply(offer string) string {
	var b strings.Builder
	mid := ""
	put := func() {
		for _, c := range f.candidates {
			if mid != "" && c.mid == mid {
				b.WriteString("a=" + c.line + "\r\n")
			}
		}
		mid = ""
	}
	for line := range strings.Lines(offer) {
		line = strings.TrimRight(line, "\r\n")
		name, value, _ := strings.Cut(line, ":")
		switch {
		case line == "", name == "a=candidate", name == "a=end-of-candidates":
			continue
		case strings.HasPrefix(line, "m="):
			put()
		case name == "a=mid":
			mid = value
		case name == "a=ice-ufrag":
			line = name + ":" + f.ufrag
		case name == "a=ice-pwd":
			line = name + ":" + f.pwd
		}
		b.WriteString(line + "\r\n")
	}
	put()
	return b.String()
}

// ufragOf returns the ICE user of a description.
func ufragOf(sdp string) string {
	_, rest, _ := strings.Cut(sdp, "a=ice-ufrag:")
	ufrag, _, _ := strings.Cut(rest, "\n")
	return strings.TrimRight(ufrag, "\r")
}

// fragmentOf returns the ICE part of a description: the credentials, and the
// candidates of the first media section, which bundles all.
func fragmentOf(sdp string) string {
	var session, media strings.Builder
	sections := 0
	for line := range strings.Lines(sdp) {
		line = strings.TrimRight(line, "\r\n")
		name, _, _ := strings.Cut(line, ":")
		if strings.HasPrefix(line, "m=") {
			if sections++; sections == 1 {
				media.WriteString(line + "\r\n")
			}
		}
		if sections > 1 {
			break
		}
		switch name {
		case "a=ice-ufrag", "a=ice-pwd", "a=ice-options", "a=ice-lite":
			session.WriteString(line + "\r\n")
		case "a=mid", "a=candidate", "a=end-of-candidates":
			media.WriteString(line + "\r\n")
		}
	}
	return session.String() + media.String()
}
