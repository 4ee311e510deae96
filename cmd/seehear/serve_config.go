package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/web/hub"
)

// Note [Configuration]
//
// A setting of `seehear serve` is, in this order, what the command line says, the
// environment (SEEHEAR_ and the flag's name in capitals), the configuration file
// (the flag's name with underscores), or its default. The sources are those of all
// three together; the command line wins where names are the same. The file is
// looked at each second: its sources and its sync_delay are taken up at once,
// anything else when the program is started again.

const (
	configName = "seehear.yaml"
	// publishURL is the address of a source that somebody sends here.
	publishURL = "publish:"
)

// sourceConfig is one source of the configuration: an address, or more.
type sourceConfig struct {
	URL       string `yaml:"url"`
	Title     string `yaml:"title"`
	Transport string `yaml:"transport"` // of RTSP: tcp, udp or auto
	// Insecure takes any certificate of rtsps, as most cameras sign their own.
	Insecure bool `yaml:"insecure"`
}

// UnmarshalYAML takes an address alone, too.
func (s *sourceConfig) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&s.URL)
	}
	type plain sourceConfig
	for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
		switch k := n.Content[i]; k.Value {
		case "url", "title", "transport", "insecure":
		default:
			return fmt.Errorf("line %d: field %s not found in a source", k.Line, k.Value)
		}
	}
	return n.Decode((*plain)(s))
}

func (s sourceConfig) check(name string) error {
	if err := hub.CheckName(name); err != nil {
		return err
	}
	switch s.Transport {
	case "", "tcp", "udp", "auto":
	default:
		return fmt.Errorf("source %s: transport %q is none of tcp, udp and auto", name, s.Transport)
	}
	if s.URL == "" {
		return fmt.Errorf("source %s: no url", name)
	}
	return nil
}

// configFile is what a configuration file holds.
type configFile struct {
	Sources map[string]sourceConfig `yaml:"sources"`
	Keys    map[string]yaml.Node    `yaml:",inline"`
}

// readConfig reads the file; known says which keys there are beside the sources.
func readConfig(name string, known func(key string) bool) (configFile, error) {
	var c configFile
	b, err := os.ReadFile(name)
	if err != nil {
		return c, err
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil && !errors.Is(err, io.EOF) { // an empty file has nothing
		return c, fmt.Errorf("%s: %s", name, strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: ")), " "))
	}
	for k, n := range c.Keys {
		if !known(k) {
			return c, fmt.Errorf("%s: line %d: field %s not found", name, n.Line, k)
		}
	}
	for n, s := range c.Sources {
		if err := s.check(n); err != nil {
			return c, fmt.Errorf("%s: %w", name, err)
		}
	}
	return c, nil
}

func keyOf(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

// BeforeResolve is called by kong between the command line and the defaults: it
// puts the environment and the file in between.
func (c *serveCmd) BeforeResolve(k *kong.Context) error {
	flags := map[string]bool{}
	config, given := "", false
	_, c.file.delaySet = os.LookupEnv("SEEHEAR_SYNC_DELAY")
	for _, p := range k.Path {
		if p.Flag != nil && p.Flag.Name == "sync-delay" {
			c.file.delaySet = true
		}
		for _, f := range p.Flags {
			flags[keyOf(f.Name)] = f.Name != "help" && f.Name != "version" && f.Name != "config" && f.Name != "source"
			if f.Name == "config" {
				config, given = k.FlagValue(f).(string), k.FlagValue(f).(string) != ""
			}
		}
	}
	if !given {
		config, given = os.LookupEnv("SEEHEAR_CONFIG")
	}
	if !given {
		config = configName
	}
	file, err := readConfig(config, func(key string) bool { return flags[key] })
	switch {
	case err == nil:
		c.file.name = config
	case given || !errors.Is(err, fs.ErrNotExist):
		return err
	}
	c.file.configFile = file
	c.file.known = flags
	k.AddResolver(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, f *kong.Flag) (any, error) {
		key := keyOf(f.Name)
		if !flags[key] {
			return nil, nil
		}
		if v, ok := os.LookupEnv("SEEHEAR_" + strings.ToUpper(key)); ok {
			return v, nil
		}
		n, ok := file.Keys[key]
		if !ok {
			return nil, nil
		}
		return yamlValue(&n)
	}))
	return nil
}

// yamlValue is a value as kong takes it.
func yamlValue(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		return n.Value, nil
	case yaml.SequenceNode:
		list := []any{}
		for _, e := range n.Content {
			if e.Kind != yaml.ScalarNode {
				return nil, fmt.Errorf("line %d: not a value", e.Line)
			}
			list = append(list, e.Value)
		}
		return list, nil
	}
	return nil, fmt.Errorf("line %d: neither a value nor a list", n.Line)
}

// configured is the configuration as it was read last.
type configured struct {
	configFile
	name  string // "" if there is none
	known map[string]bool
	// delaySet says that the command line or the environment has the sync-delay.
	delaySet bool
}

// sources joins the sources of the file, the environment and the command line.
func (c *serveCmd) sources(file configFile) (map[string]sourceConfig, error) {
	all := maps.Clone(file.Sources)
	if all == nil {
		all = map[string]sourceConfig{}
	}
	for _, s := range append(strings.Fields(os.Getenv("SEEHEAR_SOURCES")), c.Source...) {
		name, url, ok := strings.Cut(s, "=")
		if !ok {
			return nil, fmt.Errorf("--source %q: takes NAME=URL", ingest.Redact(s))
		}
		all[name] = sourceConfig{URL: url}
	}
	for _, in := range c.Inputs {
		all[nameOf(in, all)] = sourceConfig{URL: in, Title: titleOf(in)}
	}
	for name, s := range all {
		if err := s.check(name); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// titleOf is how an input is shown to people.
func titleOf(in string) string {
	if isURL(in) {
		return ingest.Redact(in)
	}
	return filepath.Base(in)
}

// nameOf makes a name of an input that is not taken.
func nameOf(in string, taken map[string]sourceConfig) string {
	base := titleOf(in)
	if isURL(in) {
		_, base, _ = strings.Cut(base, "://")
		base, _, _ = strings.Cut(base, "?")
		if _, host, ok := strings.Cut(base, "@"); ok {
			base = host
		}
	} else {
		base = strings.TrimSuffix(base, filepath.Ext(base))
	}
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '.', r == '-':
			return r
		}
		return '-'
	}, base)
	name = strings.Trim(name[:min(len(name), 48)], "-.")
	if name == "" {
		name = "source"
	}
	for stem, i := name, 2; ; i++ {
		if _, ok := taken[name]; !ok {
			return name
		}
		name = fmt.Sprintf("%s-%d", stem, i)
	}
}

// check refuses what kong does not.
func (c *serveCmd) check() error {
	if _, err := c.familyFlags.check(); err != nil {
		return err
	}
	if _, _, err := parseDelay(c.SyncDelay); err != nil {
		return err
	}
	switch {
	case c.Slots < 0 || c.Slots > 4096:
		return fmt.Errorf("--slots %d: takes 0 to 4096", c.Slots)
	case c.UDPPort < 0 || c.UDPPort > 65535:
		return fmt.Errorf("--udp-port %d is no port", c.UDPPort)
	case c.TCPPort < -1 || c.TCPPort > 65535:
		return fmt.Errorf("--tcp-port %d is no port", c.TCPPort)
	case c.MaxLag < 50*time.Millisecond || c.MaxLag > time.Minute:
		return fmt.Errorf("--max-lag %v: takes 50ms to 1m", c.MaxLag)
	case c.RecordSize < 1 || c.RecordAge < time.Second || c.RecordFiles < 1:
		return fmt.Errorf("files of results of %d MB and %v, %d of them", c.RecordSize, c.RecordAge, c.RecordFiles)
	case c.RingSize < 1 || c.RingLength < time.Second:
		return fmt.Errorf("the last %v in %d MB", c.RingLength, c.RingSize)
	}
	return nil
}

// parseDelay reads a sync-delay.
func parseDelay(s string) (d time.Duration, auto bool, err error) {
	switch s {
	case "auto":
		return 0, true, nil
	case "0":
		return 0, false, nil
	}
	d, err = time.ParseDuration(s)
	if err != nil || d < 0 || d > 2*time.Second {
		return 0, false, fmt.Errorf("--sync-delay %q: takes auto, or 0 to 2s", s)
	}
	return d, false, nil
}

// apply makes the sources that run those that are wanted: what is new begins,
// what is gone ends, what has changed does both, and the others don't notice.
func (l *serving) apply(ctx context.Context, wanted map[string]sourceConfig) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, st := range l.stations {
		want, ok := wanted[name]
		if ok && want == st.conf {
			continue
		}
		reason := "the source was changed"
		if !ok {
			reason = "the source was removed"
		}
		l.hub.Remove(name, reason)
		st.cancel()
		<-st.ended
		delete(l.stations, name)
		l.log.Info("source ended", "source", name, "reason", reason)
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if l.stations[name] != nil {
			continue
		}
		st, err := l.start(ctx, name, wanted[name])
		if err != nil {
			return err
		}
		l.stations[name] = st
		l.log.Info("source begun", "source", name, "url", ingest.Redact(wanted[name].URL))
	}
	return nil
}

// watch takes up changes of the configuration file until ctx ends. A file that
// cannot be read or is wrong changes nothing.
func (l *serving) watch(ctx context.Context) {
	c := l.cmd
	if c.file.name == "" {
		return
	}
	stamp := func() string {
		info, err := os.Stat(c.file.name)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(info.ModTime().UnixNano(), info.Size())
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	was := "" // what was written since the start is taken up, too
	current := c.file.configFile
	for {
		if now := stamp(); now != was {
			was = now
			current = l.reload(ctx, current)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// reload takes up what the file says now.
func (l *serving) reload(ctx context.Context, old configFile) configFile {
	c := l.cmd
	file, err := readConfig(c.file.name, func(key string) bool { return c.file.known[key] })
	if err == nil {
		var wanted map[string]sourceConfig
		if wanted, err = c.sources(file); err == nil {
			err = l.apply(ctx, wanted)
		}
	}
	if err != nil {
		l.log.Warn("the configuration is not taken up", "cause", ingest.Redact(err.Error()))
		return old
	}
	for _, key := range slices.Sorted(maps.Keys(union(old.Keys, file.Keys))) {
		a, b := old.Keys[key], file.Keys[key]
		if flatYAML(&a) == flatYAML(&b) {
			continue
		}
		if key == "sync_delay" {
			if _, _, err := parseDelay(b.Value); err == nil || b.Value == "" {
				if delay := cmp.Or(b.Value, "auto"); !c.file.delaySet {
					l.delay.Store(&delay)
				}
				continue
			}
		}
		l.log.Warn("the configuration has changed; start again to take it up", "key", key)
	}
	return file
}

func union(a, b map[string]yaml.Node) map[string]yaml.Node {
	u := maps.Clone(a)
	if u == nil {
		u = map[string]yaml.Node{}
	}
	maps.Copy(u, b)
	return u
}

func flatYAML(n *yaml.Node) string {
	v, err := yamlValue(n)
	return fmt.Sprint(v, err)
}
