package ingest

import (
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRedact(t *testing.T) {
	tests := []struct{ in, want string }{
		{"clip.mp4", "clip.mp4"},
		{"a=b&token=c in prose", "a=b&token=REDACTED in prose"},
		{"http://host/a.mp4", "http://host/a.mp4"},
		{"http://host:8080/a@b.mp4", "http://host:8080/a@b.mp4"},
		{"http://host:8080/a?x=1&y=2", "http://host:8080/a?x=1&y=2"},
		{"http://user:pass@host/a.mp4", "http://REDACTED@host/a.mp4"},
		{"http://user@host/a.mp4", "http://REDACTED@host/a.mp4"},
		{"http://user:p@ss@host/a.mp4", "http://REDACTED@host/a.mp4"},
		{"http://user:p/a?ss@host/a.mp4", "http://REDACTED@host/a.mp4"},
		{"http://user:1/a@host/a.mp4", "http://user:1/a@host/a.mp4"}, // a port and a path
		{"http://user:1p/a@host/a.mp4", "http://REDACTED@host/a.mp4"},
		{"RTSP://u:p@cam/1", "RTSP://REDACTED@cam/1"},
		{"crypto+https://u:p@h/s.ts", "crypto+https://REDACTED@h/s.ts"},
		{"https://h/a?token=abc", "https://h/a?token=REDACTED"},
		{"https://h/a?x=1&api_key=abc&y=2", "https://h/a?x=1&api_key=REDACTED&y=2"},
		{"https://h/a?X-Amz-Credential=a%2Fb&X-Amz-Signature=ff&X-Amz-Date=1", "https://h/a?X-Amz-Credential=REDACTED&X-Amz-Signature=REDACTED&X-Amz-Date=1"},
		{"https://h/a?tok%65n=abc", "https://h/a?tok%65n=REDACTED"},
		{"https://h/a#access_token=abc", "https://h/a#access_token=REDACTED"},
		{"https://h/a?password=a/b?c", "https://h/a?password=REDACTED"},
		{`Opening 'http://u:p@h/a?sig=1' for reading`, `Opening 'http://REDACTED@h/a?sig=REDACTED' for reading`},
		{"Authorization: Basic dTpw", "Authorization: REDACTED"},
		{"two http://a:b@c and https://d:e@f.", "two http://REDACTED@c and https://REDACTED@f."},
	}
	for _, tt := range tests {
		if got := Redact(tt.in); got != tt.want {
			t.Errorf("Redact(%q)\n got %q\nwant %q", tt.in, got, tt.want)
		}
		if got := Redact(Redact(tt.in)); got != Redact(tt.in) {
			t.Errorf("Redact twice of %q: %q", tt.in, got)
		}
	}
}

// Whatever the secret is, a URL that net/url made of it shows nothing of it.
func TestRedactHidesEverySecret(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := func(name string) string {
			return "S3cr" + rapid.StringN(0, 12, 24).Draw(t, name) + "3t"
		}
		u := url.URL{Scheme: "https", Host: "example.org", Path: "/a.mp4", User: url.UserPassword(secret("user"), secret("password"))}
		q := url.Values{}
		q.Set("t", "12")
		q.Set(rapid.SampledFrom([]string{"token", "Signature", "x-amz-security-token", "apikey"}).Draw(t, "name"), secret("value"))
		u.RawQuery = q.Encode()
		text := rapid.SampledFrom([]string{"%", "open %: no such file", "'%'", "[hls @ 0x1] Opening '%' for reading\n"}).Draw(t, "text")
		got := Redact(strings.Replace(text, "%", u.String(), 1))
		if strings.Contains(got, "S3cr") {
			t.Fatalf("%s", got)
		}
		if !strings.Contains(got, "example.org/a.mp4") || !strings.Contains(got, "t=12") {
			t.Fatalf("too much is gone: %s", got)
		}
	})
}

func FuzzRedact(f *testing.F) {
	f.Add("http://u:p@h/a?token=1#x=y")
	f.Add("://@?=&;#")
	f.Fuzz(func(t *testing.T, s string) {
		once := Redact(s)
		if twice := Redact(once); twice != once {
			t.Fatalf("%q became %q, then %q", s, once, twice)
		}
	})
}
