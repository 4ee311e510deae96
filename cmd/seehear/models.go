package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"go.yaml.in/yaml/v3"

	"github.com/seehear/seehear/ingest"
	"github.com/seehear/seehear/models"
	"github.com/seehear/seehear/models/onnx"
)

// modelsCmd looks after model packs; it runs no network.
type modelsCmd struct {
	List   modelsListCmd   `cmd:"" help:"List the packs that are here and the published models that can be pulled."`
	Info   modelsInfoCmd   `cmd:"" help:"Say all that is known of a pack, of one of its models, or of a published one."`
	Verify modelsVerifyCmd `cmd:"" help:"Compare every file of a pack with its checksum; of all packs, if none is named."`
	Pull   modelsPullCmd   `cmd:"" help:"Download a published model, so that --models NAME finds it."`
	Import importCmd       `cmd:"" help:"Make a pack of a checkpoint that was published for PyTorch, Torch7, TensorFlow or Keras (needs Python)."`
}

// notUsed marks the published models that no family runs.
const notUsed = "not used yet"

type modelsListCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// packRow and entryRow are the lines of the list.
type packRow struct {
	Name     string   `json:"name"`
	Version  string   `json:"version,omitempty"`
	License  string   `json:"license,omitempty"`
	From     string   `json:"from"`
	Dir      string   `json:"dir"`
	Fixture  bool     `json:"fixture"`
	Families []string `json:"families"`
	Error    string   `json:"error,omitempty"`
}

type entryRow struct {
	Name    string `json:"name"`
	Family  string `json:"family"`
	Version string `json:"version"`
	License string `json:"license"`
	Size    int64  `json:"size"`
	Exact   bool   `json:"size_exact"`
	Used    bool   `json:"used"` // by a family of this version
	Pulled  bool   `json:"pulled"`
	Dir     string `json:"dir,omitempty"`
	Note    string `json:"note"`
}

// Run is called by kong.
func (c *modelsListCmd) Run(s streams) error {
	packs := []packRow{}
	for _, p := range models.Installed() {
		packs = append(packs, rowOf(p))
	}
	catalogue, err := models.Catalogue()
	if err != nil {
		return err
	}
	entries := []entryRow{}
	for i := range catalogue {
		entries = append(entries, rowOfEntry(&catalogue[i]))
	}
	if c.JSON {
		return printJSON(s.out, map[string]any{"packs": packs, "catalogue": entries})
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PACK\tVERSION\tLICENCE\tWHERE\tFAMILIES")
	for _, p := range packs {
		what := strings.Join(p.Families, " ")
		if p.Fixture {
			what += " (TEST FIXTURES: results mean nothing)"
		}
		if p.Error != "" {
			what = "CAN'T BE LOADED: " + p.Error
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", p.Name, p.Version, short(p.License), p.Dir, what)
	}
	if len(packs) == 0 {
		fmt.Fprintln(w, "none")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(s.out)
	fmt.Fprintln(w, "PUBLISHED\tFAMILY\tSIZE\tLICENCE\tSTATE")
	for _, e := range entries {
		state := "not pulled"
		if e.Pulled {
			state = "pulled"
		}
		if !e.Used {
			state += ", " + notUsed
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", e.Name, e.Family, size(e.Size, e.Exact), short(e.License), state)
	}
	return w.Flush()
}

func rowOf(place models.Place) packRow {
	row := packRow{Name: filepath.Base(place.Dir), From: place.From, Dir: place.Dir, Families: []string{}}
	p, err := models.Load(place.Dir)
	if err != nil {
		row.Error = err.Error()
		return row
	}
	row.Name, row.Version, row.License, row.Fixture = p.Name, p.Version, p.License, p.Fixture
	for _, m := range p.Models {
		row.Families = append(row.Families, m.Family)
	}
	return row
}

func rowOfEntry(e *models.Entry) entryRow {
	row := entryRow{Name: e.Name, Family: e.Family, Version: e.Version, License: e.License, Used: e.Used(), Note: e.Note}
	row.Size, row.Exact = e.Size()
	if dir, err := models.DataFolder(e.Name); err == nil && e.In(dir) {
		row.Pulled, row.Dir = true, dir
	}
	return row
}

type modelsInfoCmd struct {
	Name string `arg:"" help:"A pack, by name or folder, a model of one that is here, or a published model."`
	JSON bool   `name:"json" help:"Print JSON."`
}

type packInfo struct {
	packRow
	Manifest   map[string]any `json:"manifest"`
	Models     []modelInfo    `json:"models"`
	Checksums  string         `json:"checksums"` // agree, or differ
	Mismatches []string       `json:"mismatches,omitempty"`

	text string // the manifest as it stands
}

type modelInfo struct {
	Name   string      `json:"name"`
	Family string      `json:"family"`
	Card   string      `json:"card,omitempty"`
	Graphs []graphInfo `json:"graphs"`
}

type graphInfo struct {
	Role    string       `json:"role"`
	Path    string       `json:"path"`
	IR      int64        `json:"ir"`
	Opset   int64        `json:"opset"`
	Inputs  []tensorInfo `json:"inputs"`
	Outputs []tensorInfo `json:"outputs"`
}

type tensorInfo struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Shape string `json:"shape"`
}

type entryInfo struct {
	entryRow
	Page     string         `json:"page"`
	Files    []fileInfo     `json:"files"`
	Contract map[string]any `json:"contract,omitempty"`

	text string
}

type fileInfo struct {
	Path    string `json:"path"`
	URL     string `json:"url"`
	Size    int64  `json:"size,omitempty"`
	About   int64  `json:"size_about,omitempty"`
	SHA256  string `json:"sha256,omitempty"`
	Partial string `json:"sha256_partial,omitempty"`
	Basis   string `json:"basis"`
}

// Run is called by kong.
func (c *modelsInfoCmd) Run(s streams) error {
	entry, published, err := models.Lookup(c.Name)
	if err != nil {
		return err
	}
	var out struct {
		Pack      *packInfo  `json:"pack,omitempty"`
		Published *entryInfo `json:"published,omitempty"`
	}
	if place, ok := locate(c.Name); ok {
		if out.Pack, err = infoOf(place); err != nil {
			return err
		}
	}
	if published {
		if out.Published, err = infoOfEntry(entry); err != nil {
			return err
		}
	}
	if out.Pack == nil && out.Published == nil {
		return fmt.Errorf("there is no pack and no model %q: `seehear models list` names those there are", c.Name)
	}
	if c.JSON {
		return printJSON(s.out, out)
	}
	if out.Pack != nil {
		out.Pack.print(s.out)
	}
	if out.Published != nil {
		if out.Pack != nil {
			fmt.Fprintln(s.out)
		}
		out.Published.print(s.out)
	}
	return nil
}

// locate finds a pack by its folder, its name, or that of one of its models.
func locate(name string) (models.Place, bool) {
	if isDir(name) {
		return models.Place{From: "as given", Dir: name}, true
	}
	_, looked := models.Find(name)
	for _, p := range looked {
		if p.Found {
			return p, true
		}
	}
	for _, place := range models.Installed() {
		p, err := models.Load(place.Dir)
		if err != nil {
			continue // list and verify say why
		}
		if p.Name == name || slices.ContainsFunc(p.Models, func(m models.Model) bool { return m.Name == name }) {
			return place, true
		}
	}
	return models.Place{}, false
}

func infoOf(place models.Place) (*packInfo, error) {
	p, err := models.Load(place.Dir)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(place.Dir, models.Manifest))
	if err != nil {
		return nil, fmt.Errorf("models: %w", err)
	}
	info := &packInfo{packRow: rowOf(place), Checksums: "agree", text: string(text)}
	if err := yaml.Unmarshal(text, &info.Manifest); err != nil {
		return nil, fmt.Errorf("models: %s: %w", place.Dir, err)
	}
	for i := range p.Models {
		m, err := infoOfModel(p, &p.Models[i])
		if err != nil {
			return nil, err
		}
		info.Models = append(info.Models, m)
	}
	for _, err := range p.Mismatches() {
		info.Checksums = "differ"
		info.Mismatches = append(info.Mismatches, err.Error())
	}
	return info, nil
}

func infoOfModel(p *models.Pack, m *models.Model) (modelInfo, error) {
	info := modelInfo{Name: m.Name, Family: m.Family}
	if m.Card != "" {
		info.Card = p.Path(models.File{Path: m.Card})
	}
	roles := make([]string, 0, len(m.Graphs))
	for role := range m.Graphs {
		roles = append(roles, role)
	}
	slices.Sort(roles)
	for _, role := range roles {
		path := p.Path(m.Graphs[role].File)
		f, err := onnx.Open(path)
		if err != nil {
			return info, err
		}
		info.Graphs = append(info.Graphs, graphInfo{
			Role: role, Path: path, IR: f.IR, Opset: f.Opset,
			Inputs: tensors(f.Inputs), Outputs: tensors(f.Outputs),
		})
	}
	return info, nil
}

func tensors(values []onnx.Value) []tensorInfo {
	list := []tensorInfo{}
	for _, v := range values {
		list = append(list, tensorInfo{v.Name, v.Type, models.Shape(v)})
	}
	return list
}

func infoOfEntry(e *models.Entry) (*entryInfo, error) {
	info := &entryInfo{entryRow: rowOfEntry(e), Page: e.Page}
	for _, f := range e.Files {
		info.Files = append(info.Files, fileInfo(f))
	}
	if !e.Used() {
		return info, nil
	}
	if err := e.Contract.Decode(&info.Contract); err != nil {
		return nil, fmt.Errorf("models: catalogue: %s: %w", e.Name, err)
	}
	text, err := yaml.Marshal(info.Contract)
	if err != nil {
		return nil, fmt.Errorf("models: catalogue: %s: %w", e.Name, err)
	}
	info.text = string(text)
	return info, nil
}

func (p *packInfo) print(w io.Writer) {
	rows := rows(w)
	rows("pack", "%s %s", p.Name, p.Version)
	rows("where", "%s: %s", p.From, p.Dir)
	rows("licence", "%s", p.License)
	if p.Fixture {
		rows("", "TEST FIXTURES: results mean nothing")
	}
	for _, m := range p.Models {
		rows("model", "%s (%s)", m.Name, m.Family)
		if m.Card != "" {
			rows("card", "%s", m.Card)
		}
		for _, g := range m.Graphs {
			rows("graph", "%s: %s (IR %d, opset %d)", g.Role, g.Path, g.IR, g.Opset)
			for _, t := range g.Inputs {
				rows("", "in   %s %s %s", t.Name, t.Type, t.Shape)
			}
			for _, t := range g.Outputs {
				rows("", "out  %s %s %s", t.Name, t.Type, t.Shape)
			}
		}
	}
	rows("checksums", "%s", map[string]string{"agree": "all agree", "differ": "DIFFER"}[p.Checksums])
	for _, m := range p.Mismatches {
		rows("", "%s", m)
	}
	rows("manifest", "%s", filepath.Join(p.Dir, models.Manifest))
	indented(w, p.text)
}

func (e *entryInfo) print(w io.Writer) {
	rows := rows(w)
	rows("published", "%s %s (%s)", e.Name, e.Version, e.Family)
	rows("", "%s", e.Note)
	rows("page", "%s", e.Page)
	rows("licence", "%s", e.License)
	rows("size", "%s", size(e.Size, e.Exact))
	switch {
	case e.Pulled:
		rows("pulled", "%s", e.Dir)
	default:
		rows("pulled", "no")
	}
	if !e.Used {
		rows("", "%s: no family of this version runs it", notUsed)
	}
	for _, f := range e.Files {
		rows("file", "%s, %s", f.Path, size(f.Size+f.About, f.Size > 0))
		rows("", "%s", f.URL)
		switch {
		case f.SHA256 != "":
			rows("", "sha256 %s", f.SHA256)
		case f.Partial != "":
			rows("", "sha256_partial %s: only the beginning and the end are known, and compared", f.Partial)
		default:
			rows("", "sha256 not known: pull prints it and installs only with --sha256")
		}
		rows("", "%s", f.Basis)
	}
	if e.text != "" {
		rows("contract", "")
		indented(w, e.text)
	}
}

type modelsVerifyCmd struct {
	Name string `arg:"" optional:"" help:"A pack, by name or folder, or a published model that was pulled. Default: every one found."`
	JSON bool   `name:"json" help:"Print JSON."`
}

type verified struct {
	Name       string   `json:"name"`
	Dir        string   `json:"dir"`
	OK         bool     `json:"ok"`
	Mismatches []string `json:"mismatches,omitempty"`
}

// Run is called by kong. It prints a line per mismatch and one per pack without.
func (c *modelsVerifyCmd) Run(s streams) error {
	all, err := c.check()
	if err != nil {
		return err
	}
	bad := 0
	for _, v := range all {
		if !v.OK {
			bad++
		}
		if c.JSON {
			continue
		}
		for _, m := range v.Mismatches {
			fmt.Fprintln(s.out, m)
		}
		if v.OK {
			fmt.Fprintf(s.out, "%s: all checksums agree (%s)\n", v.Name, v.Dir)
		}
	}
	if c.JSON {
		if err := printJSON(s.out, all); err != nil {
			return err
		}
	}
	switch {
	case bad == 0:
		return nil
	case bad == len(all):
		return &exitError{exitAll, fmt.Errorf("models: verify: %d of %d differ", bad, len(all))}
	}
	return &exitError{exitSome, fmt.Errorf("models: verify: %d of %d differ", bad, len(all))}
}

func (c *modelsVerifyCmd) check() ([]verified, error) {
	all := []verified{}
	if c.Name != "" {
		if place, ok := locate(c.Name); ok {
			return append(all, verifyPack(place)), nil
		}
		e, ok, err := models.Lookup(c.Name)
		if err != nil {
			return nil, err
		}
		if ok {
			dir, err := models.DataFolder(e.Name)
			if err != nil {
				return nil, err
			}
			if !isDir(dir) {
				return nil, fmt.Errorf("the model %q was not pulled: `seehear models pull %s`", c.Name, c.Name)
			}
			return append(all, verifiedOf(e.Name, dir, e.Mismatches(dir))), nil
		}
		return nil, fmt.Errorf("there is no pack %q: `seehear models list` names those there are", c.Name)
	}
	for _, place := range models.Installed() {
		all = append(all, verifyPack(place))
	}
	catalogue, err := models.Catalogue()
	if err != nil {
		return nil, err
	}
	for i := range catalogue {
		e := &catalogue[i]
		if dir, err := models.DataFolder(e.Name); err == nil && !e.Used() && e.In(dir) {
			all = append(all, verifiedOf(e.Name, dir, e.Mismatches(dir)))
		}
	}
	if len(all) == 0 {
		return nil, errors.New("there is no pack to verify")
	}
	return all, nil
}

func verifyPack(place models.Place) verified {
	p, errs := models.Check(place.Dir)
	if p == nil {
		return verifiedOf(filepath.Base(place.Dir), place.Dir, errs)
	}
	return verifiedOf(p.Name, p.Dir, errs)
}

func verifiedOf(name, dir string, errs []error) verified {
	v := verified{Name: name, Dir: dir, OK: len(errs) == 0}
	for _, err := range errs {
		v.Mismatches = append(v.Mismatches, err.Error())
	}
	return v
}

type modelsPullCmd struct {
	Name   string   `arg:"" help:"A published model, as the list names it, or the address of a model file."`
	Out    string   `short:"o" placeholder:"DIR" help:"The folder to put it in; by default its own in the data folder, where --models NAME finds it."`
	SHA256 []string `name:"sha256" placeholder:"HEX" help:"The checksum you vouch for, of a file whose checksum is not known here."`
	JSON   bool     `name:"json" help:"Print JSON."`
}

type pulledFile struct {
	Path    string `json:"path"`
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"`
	Checked string `json:"checked"`
	Kept    bool   `json:"kept"`
}

// Run is called by kong. A soft stop ends it too: what came is kept.
func (c *modelsPullCmd) Run(ctx context.Context, s streams, stop softStop) error {
	ctx, end := stop.within(ctx)
	defer end()

	progress := newProgress(s.err)
	bars := &byteBars{progress: progress}
	puller := &models.Puller{
		Progress: bars.at,
		Log:      func(line string) { progress.line(s.err, "seehear: "+line) },
	}
	out, err := c.pull(ctx, puller)
	bars.done()
	progress.wait()
	if err != nil {
		if stop.asked() {
			return &exitError{exitInterrupted, errors.New("models: pull: stopped; the same command goes on from here")}
		}
		return err
	}
	if c.JSON {
		files := []pulledFile{}
		for _, f := range out.Files {
			files = append(files, pulledFile(f))
		}
		return printJSON(s.out, map[string]any{"dir": out.Dir, "pack": out.Pack, "files": files})
	}
	for _, f := range out.Files {
		note := map[string]string{
			"sha256":         "checked",
			"sha256_partial": "only the beginning and the end of it are known, and agree",
			"vouched":        "as you gave it",
		}[f.Checked]
		if f.Kept {
			note += ", was there"
		}
		fmt.Fprintf(s.out, "%s  %s  sha256 %s (%s)\n", filepath.Join(out.Dir, f.Path), size(f.Size, true), f.SHA256, note)
	}
	fmt.Fprintln(s.out, c.next(out))
	return nil
}

func (c *modelsPullCmd) pull(ctx context.Context, p *models.Puller) (*models.Pulled, error) {
	sums := make([]string, len(c.SHA256))
	for i, s := range c.SHA256 {
		sums[i] = strings.ToLower(strings.TrimSpace(s))
	}
	dir := c.Out
	if strings.Contains(c.Name, "://") {
		if dir == "" {
			file, err := models.FileOf(c.Name)
			if err != nil {
				return nil, err
			}
			if dir, err = models.DataFolder(strings.TrimSuffix(file, ".onnx")); err != nil {
				return nil, err
			}
		}
		return p.PullURL(ctx, c.Name, dir, sums...)
	}
	e, ok, err := models.Lookup(c.Name)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("no published model %q is known: `seehear models list` names them; an address begins with https://", ingest.Redact(c.Name))
	}
	if dir == "" {
		if dir, err = models.DataFolder(e.Name); err != nil {
			return nil, err
		}
	}
	return p.Pull(ctx, e, dir, sums...)
}

// next says what can be done with what was pulled.
func (c *modelsPullCmd) next(out *models.Pulled) string {
	switch {
	case out.Pack && c.Out == "":
		return "use it with --models " + c.Name
	case out.Pack:
		return "use it with --models " + out.Dir
	case strings.Contains(c.Name, "://"):
		return "to use it, write a " + models.Manifest + " beside it that states its contract"
	}
	return notUsed + ": no family of this version runs it"
}

// byteBars draws a bar for the file that is being downloaded, on a terminal.
type byteBars struct {
	progress *progress
	mu       sync.Mutex
	file     string
	bar      *mpb.Bar
}

func (b *byteBars) at(file string, done, total int64) {
	if b.progress.p == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bar == nil || b.file != file {
		if b.bar != nil {
			b.bar.Abort(true)
		}
		b.file = file
		b.bar = b.progress.p.New(0, mpb.BarStyle().Rbound("|").Lbound("|"),
			mpb.PrependDecorators(decor.Name(file, decor.WC{W: 24, C: decor.DindentRight})),
			mpb.AppendDecorators(
				decor.CountersKibiByte(" % .1f / % .1f"),
				decor.AverageSpeed(decor.SizeB1024(0), "  % .1f"),
			),
			mpb.BarRemoveOnComplete())
		b.bar.SetRefill(done)
	}
	b.bar.SetTotal(total, false)
	b.bar.SetCurrent(done)
}

func (b *byteBars) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bar != nil {
		b.bar.Abort(true)
	}
}

// short leaves out what a licence says in brackets, which info shows.
func short(license string) string {
	name, _, _ := strings.Cut(license, " (")
	return name
}

// rows returns a function that prints a name and what it is.
func rows(w io.Writer) func(name, format string, a ...any) {
	return func(name, format string, a ...any) {
		fmt.Fprintf(w, "%s\n", strings.TrimRight(fmt.Sprintf("%-11s %s", name, fmt.Sprintf(format, a...)), " "))
	}
}

func indented(w io.Writer, text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintf(w, "    %s\n", strings.TrimRight(line, "\r\n"))
	}
}

// size writes a number of bytes; "about" where it is only published rounded.
func size(n int64, exact bool) string {
	text := fmt.Sprintf("%d B", n)
	switch {
	case n >= 1e6:
		text = fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		text = fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	if !exact {
		return "about " + text
	}
	return text
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
