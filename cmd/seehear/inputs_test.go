package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestExpand(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"b.mp4", "a.MKV", "notes.txt", "sub/c.wav"} {
		path := filepath.Join(dir, f)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	empty := t.TempDir()
	join := func(f string) string { return filepath.Join(dir, f) }
	var got []string
	for _, in := range expand([]string{join("b.mp4"), dir, join("*.txt"), "-", "rtsp://cam/1", join("none.mp4"), join("x*.mp4"), empty}) {
		name := in.name
		if in.err != nil {
			name += " !"
		}
		got = append(got, name)
	}
	want := []string{
		join("b.mp4"), join("a.MKV"), join("sub/c.wav"), join("notes.txt"), "-", "rtsp://cam/1",
		join("none.mp4"), join("x*.mp4") + " !", empty + " !",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("expand (-want +got):\n%s", d)
	}
}

func TestFolderNames(t *testing.T) {
	in := []input{{name: "x/clip.mp4"}, {name: "y/clip.mkv"}, {name: "-"}, {name: "https://user:secret@host/live/cam.m3u8?token=t"}, {name: "rtsp://host"}, {name: "..."}}
	names := folderNames(in)
	for i, want := range []string{"", "", "stdin", "cam", "host", "input"} {
		if want != "" && names[i] != want {
			t.Errorf("%s: folder %q, want %q", in[i].name, names[i], want)
		}
	}
	if names[0] == names[1] || names[0][:5] != "clip-" || names[1][:5] != "clip-" {
		t.Errorf("two inputs of one name get %q and %q", names[0], names[1])
	}
	again := folderNames(in)
	if d := cmp.Diff(names, again); d != "" {
		t.Errorf("names change between runs:\n%s", d)
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.000000", 499: "0.000000", 500: "0.000001", -500: "-0.000001", -499: "0.000000",
		1500 * time.Millisecond: "1.500000", -1500 * time.Millisecond: "-1.500000",
		time.Hour + 999999500: "3601.000000",
	} {
		if got := seconds(d); got != want {
			t.Errorf("seconds(%d) = %s, want %s", d, got, want)
		}
	}
}
