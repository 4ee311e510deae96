package web

import (
	"bufio"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// minToken is the length of the shortest token: what is guessed in fewer
// characters could be tried out.
const minToken = 8

// Access says who may do what. Without view tokens everybody who reaches the
// server may look, without publish tokens nobody may publish, unless there are no
// view tokens either.
type Access struct {
	View    []string // tokens that may look
	Publish []string // tokens that may publish through WHIP, and nothing else
	// Users is a file with a line per user, "view NAME TOKEN" or "publish NAME
	// TOKEN"; a token may be given as "sha256:" and its hash in hex. Lines that
	// begin with # are comments. Nobody but its owner and group may read it.
	Users string
}

// role is what a token is good for.
type role uint8

const (
	view role = 1 << iota
	publish
)

func (r role) String() string {
	if r == publish {
		return "publish"
	}
	return "view"
}

// key is a token as it is kept.
type key struct {
	hash [sha256.Size]byte
	role role
}

// keys are all tokens.
type keys []key

// load reads and checks what a says.
func (a *Access) load() (keys, error) {
	var ks keys
	add := func(r role, token string) error {
		k := key{role: r}
		if digits, ok := strings.CutPrefix(token, "sha256:"); ok {
			b, err := hex.DecodeString(digits)
			if err != nil || len(b) != len(k.hash) {
				return fmt.Errorf("%s token: sha256: is followed by 64 hex digits", r)
			}
			k.hash = [sha256.Size]byte(b)
		} else {
			if len(token) < minToken {
				return fmt.Errorf("%s token has %d characters; %d are the least", r, len(token), minToken)
			}
			if strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
				return fmt.Errorf("%s token holds a character that no header can carry", r)
			}
			k.hash = sha256.Sum256([]byte(token))
		}
		for i := range ks {
			if ks[i].hash == k.hash && ks[i].role != r {
				return fmt.Errorf("one token is given for view and for publish; they must differ")
			}
		}
		ks = append(ks, k)
		return nil
	}
	for _, t := range a.View {
		if err := add(view, t); err != nil {
			return nil, fmt.Errorf("web: %w", err)
		}
	}
	for _, t := range a.Publish {
		if err := add(publish, t); err != nil {
			return nil, fmt.Errorf("web: %w", err)
		}
	}
	if a.Users == "" {
		return ks, nil
	}
	f, err := os.Open(a.Users)
	if err != nil {
		return nil, fmt.Errorf("web: users: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("web: users: %w", err)
	}
	if st.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("web: users: %s may be read or written by everybody: chmod o= it", a.Users)
	}
	sc := bufio.NewScanner(f)
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		w := strings.Fields(line)
		if len(w) != 3 || w[0] != "view" && w[0] != "publish" {
			return nil, fmt.Errorf(`web: users: %s: line %d is not "view NAME TOKEN" or "publish NAME TOKEN"`, a.Users, n)
		}
		r := view
		if w[0] == "publish" {
			r = publish
		}
		if err := add(r, w[2]); err != nil {
			return nil, fmt.Errorf("web: users: %s: line %d: %w", a.Users, n, err)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("web: users: %w", err)
	}
	return ks, nil
}

// guarded reports whether looking needs a token.
func (ks keys) guarded() bool {
	for i := range ks {
		if ks[i].role == view {
			return true
		}
	}
	return false
}

// find returns what the token is good for. All keys are compared, whichever fits.
func (ks keys) find(token string) (r role) {
	hash := sha256.Sum256([]byte(token))
	for i := range ks {
		if subtle.ConstantTimeCompare(hash[:], ks[i].hash[:]) == 1 {
			r |= ks[i].role
		}
	}
	return r
}

// verdict is the answer to a request's token.
type verdict uint8

const (
	granted verdict = iota
	missing         // no token
	unknown         // a token that nobody has
	wrong           // a token that is for something else
)

// check judges the token of r for what it asks.
func (ks keys) check(r *http.Request, need role) verdict {
	if len(ks) == 0 || need == view && !ks.guarded() {
		return granted
	}
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return missing
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if len(values) > 1 || !ok || !strings.EqualFold(scheme, "Bearer") {
		return unknown
	}
	switch have := ks.find(strings.TrimSpace(token)); {
	case have == 0:
		return unknown
	case have&need == 0:
		return wrong
	}
	return granted
}
