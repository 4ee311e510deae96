package ingest

import (
	"net/url"
	"regexp"
	"strings"
)

// Redacted stands where a secret stood.
const Redacted = "REDACTED"

var (
	// The part of a URL that may hold a name and a password. Some passwords hold
	// '/' or '?', which no parser accepts but people type, so the second form
	// goes on to the last '@' before a blank when what follows the colon cannot
	// be a port.
	userinfo = regexp.MustCompile(`(?i)\b([a-z][a-z0-9+.-]*://)([^\s"'<>/?#]*@|[^\s"'<>/?#@:]*:[^\s"'<>@0-9/][^\s"'<>@]*@|[^\s"'<>/?#@:]*:[0-9]+[^\s"'<>@0-9/:][^\s"'<>@]*@)`)
	// A name and its value in a query or a fragment.
	parameter = regexp.MustCompile(`([?&;#])([^\s"'<>=&;?#]+)=([^\s"'<>&;#]*)`)
	// A header, as clients and servers print it.
	header = regexp.MustCompile(`(?i)\b((?:proxy-)?authorization|cookie|set-cookie|x-api-key)(\s*[:=]\s*)[^\r\n"']+`)
)

// secretWords are the parts of a parameter's name that mark its value as a
// credential: signed URLs of the large stores, and the usual tokens.
var secretWords = []string{
	"token", "key", "pass", "pwd", "secret", "sig", "auth", "cred", "policy",
	"session", "jwt", "hdn", "accessid", "hmac", "ticket", "bearer",
}

// Redact returns s, which may be a URL or any text with URLs in it, without
// credentials: the user and password of a URL, the values of query parameters
// whose names say token, key, password, signature or the like, and authorization
// headers. Everything printed, logged or written to results that may name an
// input passes through it. Redacting twice changes nothing.
func Redact(s string) string {
	if strings.Contains(s, "://") {
		s = userinfo.ReplaceAllString(s, "${1}"+Redacted+"@")
	}
	if strings.ContainsAny(s, "=") {
		s = parameter.ReplaceAllStringFunc(s, func(m string) string {
			eq := strings.IndexByte(m, '=')
			if !secretName(m[1:eq]) {
				return m
			}
			return m[:eq+1] + Redacted
		})
	}
	if strings.ContainsAny(s, ":=") {
		s = header.ReplaceAllString(s, "${1}${2}"+Redacted)
	}
	return s
}

// secretName reports whether a query parameter of this name holds a credential.
func secretName(name string) bool {
	if plain, err := url.QueryUnescape(name); err == nil {
		name = plain
	}
	name = strings.ToLower(name)
	for _, w := range secretWords {
		if strings.Contains(name, w) {
			return true
		}
	}
	return false
}
