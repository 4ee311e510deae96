package mediatest

// A spec says how one clip is made. Its truth follows from the spec alone (see
// truthOf); only what a cut leaves over is looked up, in ffprobe's list of the
// packets of the whole file.
type spec struct {
	name string
	file string // in the folder of all clips; HLS has a folder of its own
	// tick is the number of ticks per second in which the container writes all
	// its stamps (1000 in Matroska), 0 if every stream's own unit is fine enough
	// to be exact.
	tick  int64
	parts []part
	// Options in front of the output file.
	mux []string
	// A live clip is written to a pipe, so that the muxer cannot go back to fill
	// in a duration or an index.
	live bool
	// The file ends in the middle of the packet of this frame, if it is not 0.
	cutAt int
	// MP4 only: the streams begin this many milliseconds later than the media,
	// because the edit list says so.
	editCut      int64
	cutVideoOnly bool
	// MP4 only: the edit list of late sound begins behind so many samples of
	// priming instead of before them.
	editPrime int64
	notes     string
}

// part is a piece that is encoded on its own; the files of all parts are joined
// byte by byte. Only MPEG-TS can have several.
type part struct {
	video *video
	audio *audio
	// The time of the container at which the part's zero lies, in milliseconds.
	offset int64
	jump   bool // the offset has nothing to do with that of the part before
}

type video struct {
	codec    string
	args     []string
	w, h     int // upright
	n        int
	base     int   // index of the first frame
	num, den int64 // duration of a frame
	vfr      bool  // stamps of [unevenMS] instead
	delay    int64 // milliseconds
	rotation int
	cover    bool // a picture attached to the sound, which is no video
}

type audio struct {
	codec    string
	args     []string
	rate     int
	channels int
	n        int64 // samples
	delay    int64 // milliseconds
	lossless bool
	// frame is the number of samples in a packet, prime how many the encoder puts
	// in front.
	frame, prime int64
	// What the container tells about the priming and about the padding of the
	// last packet.
	primeTold, paddingTold bool
	startTol               int64 // nanoseconds
	cutsOff                bool  // the encoder drops what its own delay pushes out at the end
	drop                   [2]int64
}

// unevenMS is the time of frame i of a clip with a variable frame rate, and the
// same as an expression of the filter setpts: gaps of 18 to 62 ms.
func unevenMS(i int64) int64 { return 40*i + 7*i*i%23 }

const unevenExpr = `40*N+mod(7*N*N\,23)`

// Samples of the first hole in an audio stream, in packets.
var holePackets = [2]int64{61, 75}

func h264(bframes string) *video {
	return &video{codec: "h264", args: []string{"-c:v", "libx264", "-preset", "ultrafast", "-crf", "22", "-g", "25", "-bf", bframes, "-sc_threshold", "0"}}
}

func mpeg(version string) *video {
	return &video{codec: "mpeg" + version + "video", args: []string{"-c:v", "mpeg" + version + "video", "-q:v", "3", "-g", "12", "-bf", "2"}}
}

func vpx(codec, encoder string) *video {
	return &video{codec: codec, args: []string{"-c:v", encoder, "-deadline", "good", "-cpu-used", "5", "-lag-in-frames", "10", "-auto-alt-ref", "1", "-crf", "20", "-b:v", "400k", "-g", "25"}}
}

func vcodec(name string, args ...string) *video {
	return &video{codec: name, args: append([]string{"-c:v"}, args...)}
}

// fill gives a video what the clips have in common.
func (v *video) fill() *video {
	if v.n == 0 {
		v.n = 75
	}
	if v.w == 0 {
		v.w, v.h = 128, 96
	}
	if v.num == 0 {
		v.num, v.den = 1, 25
	}
	return v
}
func (v *video) rateOf(num, den int64) *video { v.num, v.den = num, den; return v }
func (v *video) uneven() *video               { v.vfr = true; return v }
func (v *video) late(ms int64) *video         { v.delay = ms; return v }
func (v *video) turned(deg int) *video        { v.rotation = deg; return v }
func (v *video) from(base, n int) *video      { v.base, v.n = base, n; return v }
func (v *video) size(w, h int) *video         { v.w, v.h = w, h; return v }

func acodec(codec, encoder string, frame, prime int64, args ...string) *audio {
	return &audio{codec: codec, args: append([]string{"-c:a", encoder}, args...), frame: frame, prime: prime}
}
func aac() *audio { return acodec("aac", "aac", 1024, 1024, "-b:a", "160k", "-aac_coder", "fast") }
func opus() *audio {
	a := acodec("opus", "libopus", 960, 312, "-b:a", "128k")
	a.primeTold, a.paddingTold = true, true
	return a
}

func mp2() *audio {
	a := acodec("mp2", "mp2", 1152, 481, "-b:a", "192k")
	a.cutsOff = true
	return a
}

func ac3() *audio {
	a := acodec("ac3", "ac3", 1536, 256, "-b:a", "192k")
	a.cutsOff = true
	return a
}

func lossless(codec string, args ...string) *audio {
	a := acodec(codec, codec, 0, 0, args...)
	a.lossless = true
	return a
}
func pcm() *audio  { return lossless("pcm_s16le") }
func flac() *audio { return lossless("flac") }

func (a *audio) fill() *audio {
	if a.rate == 0 {
		a.rate = 48000
	}
	if a.channels == 0 {
		a.channels = 2
	}
	if a.n == 0 {
		a.n = 3 * int64(a.rate)
	}
	return a
}
func (a *audio) at(rate, channels int) *audio { a.rate, a.channels = rate, channels; return a }
func (a *audio) late(ms int64) *audio         { a.delay = ms; return a }
func (a *audio) samples(n int64) *audio       { a.n = n; return a }
func (a *audio) told() *audio                 { a.primeTold = true; return a }
func (a *audio) hole() *audio                 { a.drop = holePackets; return a }

// one makes the parts of a clip that has one.
func one(v *video, a *audio) []part {
	p := part{}
	if v != nil {
		p.video = v.fill()
	}
	if a != nil {
		p.audio = a.fill()
	}
	return []part{p}
}

func two(a, b part) []part {
	for _, p := range []part{a, b} {
		if p.video != nil {
			p.video.fill()
		}
		if p.audio != nil {
			p.audio.fill()
		}
	}
	return []part{a, b}
}

// Sources of an ms container round the start of sound with a codec delay twice.
const msTwice = 1_000_000

// plan is every clip that the project's own FFmpeg can make.
func plan() []spec {
	matroska := []string{"-f", "matroska"}
	webm := []string{"-f", "webm"}
	ts := []string{"-f", "mpegts"}
	mp4 := []string{"-f", "mp4"}
	opusMS := func() *audio { a := opus(); a.startTol = msTwice; return a }
	return []spec{
		// MP4 and MOV.
		{
			name: "mp4-h264-aac", file: "mp4-h264-aac.mp4", mux: mp4, parts: one(h264("2"), aac().told()),
			notes: "B frames; priming signalled by the edit list",
		},
		{
			name: "mp4-ntsc", file: "mp4-ntsc.mp4", mux: mp4, parts: one(h264("2").rateOf(1001, 30000).from(100, 89), aac().told().at(44100, 2)),
			notes: "30000/1001 frames per second, 44.1 kHz",
		},
		{name: "mp4-vfr", file: "mp4-vfr.mp4", mux: mp4, parts: one(func() *video {
			v := h264("2").uneven()
			// The muxer needs durations to include the last frame in the edit list.
			v.args = append(v.args, "-bsf:v", "setts=pts=PTS:dts=DTS:duration=0.04/TB")
			return v
		}(), aac().told())},
		{
			name: "mp4-video-late", file: "mp4-video-late.mp4", mux: mp4, parts: one(h264("2").late(400).from(0, 65), aac().told()),
			notes: "an empty edit delays the picture",
		},
		{
			name: "mp4-audio-late", file: "mp4-audio-late.mp4", mux: mp4, parts: one(h264("2"), aac().at(32000, 2).late(700).samples(64000)),
			notes: "an empty edit delays the sound by less than its start, so that the priming is heard, as this muxer does it",
		},
		{
			name: "mp4-audio-late-primed", file: "mp4-audio-late-primed.mp4", mux: mp4, parts: one(h264("2"), aac().told().at(32000, 2).late(700).samples(64000)), editPrime: 1024,
			notes: "an empty edit delays the sound, and the next one cuts off the priming",
		},
		{
			name: "mp4-edit-cut", file: "mp4-edit-cut.mp4", mux: mp4, parts: one(h264("2"), aac().told()), editCut: 520,
			notes: "the edit list begins in the middle of a group of pictures and of an AAC frame",
		},
		{
			name: "mp4-edit-cut-late", file: "mp4-edit-cut-late.mp4", mux: mp4, parts: one(h264("2").late(400), aac().told()), editCut: 520, cutVideoOnly: true,
			notes: "the picture begins late and in the middle of a group: frames that are only there to be decoded have stamps after the start of the sound",
		},
		{name: "mp4-rotate-90", file: "mp4-rotate-90.mp4", mux: mp4, parts: one(h264("2").turned(90).from(0, 50), aac().told().samples(96000))},
		{name: "mp4-rotate-180", file: "mp4-rotate-180.mp4", mux: mp4, parts: one(h264("2").turned(180).from(0, 50), nil)},
		{name: "mp4-rotate-270", file: "mp4-rotate-270.mp4", mux: mp4, parts: one(h264("0").turned(270).from(0, 50), nil)},
		{name: "mp4-video-only", file: "mp4-video-only.mp4", mux: mp4, parts: one(h264("2"), nil)},
		{
			name: "mp4-hole", file: "mp4-hole.mp4", mux: mp4, parts: one(h264("2"), aac().told().hole()),
			notes: "packets of sound are missing in the middle",
		},
		{name: "mp4-fragmented", file: "mp4-fragmented.mp4", mux: append(mp4, "-movflags", "+frag_keyframe+delay_moov+default_base_moof"), parts: one(h264("2"), aac().told())},
		{
			name: "mp4-fragmented-plain", file: "mp4-fragmented-plain.mp4", mux: append(mp4, "-movflags", "+frag_keyframe+empty_moov+default_base_moof"), parts: one(h264("0"), flac()),
			notes: "the header was written before any packet, so there is no edit list",
		},
		{name: "mp4-truncated", file: "mp4-truncated.mp4", mux: append(mp4, "-movflags", "+frag_keyframe+delay_moov+default_base_moof"), parts: one(h264("0"), aac().told()), cutAt: 58},
		{name: "m4a-mono", file: "m4a-mono.m4a", mux: mp4, parts: one(nil, aac().told().at(44100, 1))},
		{name: "m4a-cover", file: "m4a-cover.m4a", mux: mp4, parts: one(func() *video {
			v := vcodec("mjpeg", "mjpeg", "-q:v", "3", "-disposition:v", "attached_pic").from(7, 1)
			v.cover = true
			return v
		}(), aac().told()), notes: "the picture is a cover, not a video"},
		{name: "mp4-aac-5.1", file: "mp4-aac-5.1.mp4", mux: mp4, parts: one(h264("2"), acodec("aac", "aac", 1024, 1024, "-b:a", "384k", "-aac_coder", "fast").told().at(48000, 6))},
		{name: "mp4-aac-8k", file: "mp4-aac-8k.mp4", mux: mp4, parts: one(h264("2"), acodec("aac", "aac", 1024, 1024, "-b:a", "48k", "-aac_coder", "fast").told().at(8000, 1))},
		{name: "mov-pcm", file: "mov-pcm.mov", mux: []string{"-f", "mov"}, parts: one(h264("2"), pcm())},
		{name: "mov-pcm-24", file: "mov-pcm-24.mov", mux: []string{"-f", "mov"}, parts: one(vcodec("mjpeg", "mjpeg", "-q:v", "3").rateOf(1, 10).from(0, 30), lossless("pcm_s24le").at(96000, 1))},

		// Matroska and WebM: stamps in milliseconds.
		{name: "mkv-h264-flac", file: "mkv-h264-flac.mkv", tick: 1000, mux: matroska, parts: one(h264("2"), flac().at(44100, 2))},
		{name: "mkv-ntsc-pcm", file: "mkv-ntsc-pcm.mkv", tick: 1000, mux: matroska, parts: one(h264("2").rateOf(1001, 30000).from(0, 89), pcm().at(44100, 2))},
		{name: "mkv-vfr", file: "mkv-vfr.mkv", tick: 1000, mux: matroska, parts: one(h264("2").uneven(), flac())},
		{
			name: "mkv-aac", file: "mkv-aac.mkv", tick: 1000, mux: matroska, parts: one(h264("2"), aac()),
			notes: "Matroska's CodecDelay states the priming and the stamps allow for it, yet libavformat hands it on as sound before zero",
		},
		{name: "mkv-audio-late", file: "mkv-audio-late.mkv", tick: 1000, mux: matroska, parts: one(h264("2"), flac().late(600).samples(96000))},
		{name: "mkv-video-late", file: "mkv-video-late.mkv", tick: 1000, mux: matroska, parts: one(h264("2").late(840).from(0, 50), pcm())},
		{name: "mkv-flac-5.1", file: "mkv-flac-5.1.mkv", tick: 1000, mux: matroska, parts: one(h264("2"), flac().at(48000, 6))},
		{name: "mkv-flac-96k", file: "mkv-flac-96k.mkv", tick: 1000, mux: matroska, parts: one(h264("2"), flac().at(96000, 2))},
		{name: "mkv-hole", file: "mkv-hole.mkv", tick: 1000, mux: matroska, parts: one(h264("2"), func() *audio {
			a := lossless("flac", "-frame_size", "960").hole()
			a.frame = 960
			return a
		}()), notes: "packets of sound are missing in the middle"},
		{name: "mkv-truncated", file: "mkv-truncated.mkv", tick: 1000, mux: matroska, parts: one(h264("0"), func() *audio {
			a := lossless("flac", "-frame_size", "960")
			a.frame = 960
			return a
		}()), cutAt: 55},
		{
			name: "mkv-live", file: "mkv-live.mkv", tick: 1000, live: true, mux: append(matroska, "-live", "1"), parts: one(h264("0"), flac()),
			notes: "no duration and no index",
		},
		{name: "webm-vp8-opus", file: "webm-vp8-opus.webm", tick: 1000, mux: webm, parts: one(vpx("vp8", "libvpx"), opusMS())},
		{name: "webm-vp9-opus", file: "webm-vp9-opus.webm", tick: 1000, mux: webm, parts: one(vpx("vp9", "libvpx-vp9"), opusMS())},
		{name: "webm-vfr", file: "webm-vfr.webm", tick: 1000, mux: webm, parts: one(vpx("vp8", "libvpx").uneven(), opusMS())},
		{
			name: "webm-live", file: "webm-live.webm", tick: 1000, live: true, mux: append(webm, "-live", "1"), parts: one(vpx("vp8", "libvpx").rateOf(1001, 15000).from(0, 45), opusMS()),
			notes: "no duration and no index",
		},

		// MPEG.
		{
			name: "ts-h264-aac", file: "ts-h264-aac.ts", tick: 90000, mux: ts, parts: one(h264("2"), aac()),
			notes: "the priming of AAC is not signalled",
		},
		{name: "ts-mpeg2-mp2", file: "ts-mpeg2-mp2.ts", tick: 90000, mux: ts, parts: one(mpeg("2").rateOf(1001, 30000).from(0, 89), mp2().at(44100, 2))},
		{name: "ts-ac3-late", file: "ts-ac3-late.ts", tick: 90000, mux: ts, parts: one(h264("2"), ac3().late(500).samples(96000))},
		{name: "ts-video-late", file: "ts-video-late.ts", tick: 90000, mux: ts, parts: one(h264("2").late(600).from(0, 60), aac())},
		{name: "ts-wrap", file: "ts-wrap.ts", tick: 90000, mux: ts, parts: func() []part {
			p := one(h264("2"), aac())
			p[0].offset = 95441300
			return p
		}(), notes: "the stamps of 33 bits wrap about a second after the start"},
		{name: "ts-hole", file: "ts-hole.ts", tick: 90000, mux: ts, parts: one(h264("2"), aac().hole())},
		{name: "ts-truncated", file: "ts-truncated.ts", tick: 90000, mux: ts, parts: one(h264("0"), aac()), cutAt: 50},
		{
			name: "ts-jump", file: "ts-jump.ts", tick: 90000, mux: ts, parts: two(
				part{video: h264("2").from(0, 50), audio: aac().samples(96000)},
				part{video: h264("2").from(50, 50), audio: aac().samples(96000), offset: 500_000, jump: true}),
			notes: "two recordings joined: the stamps leap forward",
		},
		{
			name: "ts-jump-back", file: "ts-jump-back.ts", tick: 90000, mux: ts, parts: two(
				part{video: h264("2").from(0, 50), audio: aac().samples(96000), offset: 800_000},
				part{video: h264("2").from(50, 50), audio: aac().samples(96000), jump: true}),
			notes: "two recordings joined: the stamps leap back",
		},
		{
			name: "ts-new-size", file: "ts-new-size.ts", tick: 90000, mux: ts, parts: two(
				part{video: h264("0").from(0, 50), audio: aac().samples(91200), offset: 1000},
				part{video: h264("0").from(50, 50).size(192, 128), audio: aac().samples(96000), offset: 3000}),
			notes: "the size of the picture changes in mid-stream; the stamps go on, with a short hole in the sound",
		},
		{
			name: "ts-new-rate", file: "ts-new-rate.ts", tick: 90000, mux: ts, parts: two(
				part{video: h264("0").from(0, 50), audio: aac().samples(91200), offset: 1000},
				part{video: h264("0").from(50, 50), audio: aac().at(44100, 2).samples(88200), offset: 3000}),
			notes: "the sample rate changes in mid-stream; the stamps go on, with a short hole in the sound",
		},
		{name: "mpg-mpeg1-mp2", file: "mpg-mpeg1-mp2.mpg", tick: 90000, mux: []string{"-f", "mpeg"}, parts: one(mpeg("1"), mp2().at(44100, 2))},
		{name: "vob-mpeg2-ac3", file: "vob-mpeg2-ac3.vob", tick: 90000, mux: []string{"-f", "vob"}, parts: one(mpeg("2"), ac3())},
		{name: "hls-ts", file: "hls-ts/index.m3u8", tick: 90000, mux: []string{"-f", "hls", "-hls_time", "1", "-hls_playlist_type", "vod"}, parts: one(h264("2"), aac())},
		{
			name: "hls-fmp4", file: "hls-fmp4/index.m3u8", mux: []string{"-f", "hls", "-hls_time", "1", "-hls_playlist_type", "vod", "-hls_segment_type", "fmp4"}, parts: one(h264("2"), aac().at(32000, 2)),
			notes: "lavf does not apply the edit list to the priming of fragments",
		},

		// Others.
		{
			name: "flv-h264-aac", file: "flv-h264-aac.flv", tick: 1000, mux: []string{"-f", "flv"}, parts: one(h264("2"), aac().at(44100, 2)),
			notes: "the priming of AAC is not signalled",
		},
		{name: "avi-mjpeg-pcm", file: "avi-mjpeg-pcm.avi", mux: []string{"-f", "avi"}, parts: one(vcodec("mjpeg", "mjpeg", "-q:v", "3"), pcm().at(44100, 2))},
		{name: "avi-mpeg4-pcm", file: "avi-mpeg4-pcm.avi", mux: []string{"-f", "avi"}, parts: one(vcodec("mpeg4", "mpeg4", "-q:v", "3").rateOf(1001, 30000).from(0, 89), lossless("pcm_u8").at(11025, 1))},
		{name: "wav-pcm", file: "wav-pcm.wav", mux: []string{"-f", "wav"}, parts: one(nil, pcm().at(44100, 2))},
		{name: "wav-8k", file: "wav-8k.wav", mux: []string{"-f", "wav"}, parts: one(nil, pcm().at(8000, 1))},
		{name: "wav-float-5.1", file: "wav-float-5.1.wav", mux: []string{"-f", "wav"}, parts: one(nil, lossless("pcm_f32le").at(48000, 6))},
		{name: "flac-11025", file: "flac-11025.flac", mux: []string{"-f", "flac"}, parts: one(nil, flac().at(11025, 1))},
		{name: "flac-96k", file: "flac-96k.flac", mux: []string{"-f", "flac"}, parts: one(nil, flac().at(96000, 2))},
		{name: "ogg-opus", file: "ogg-opus.ogg", mux: []string{"-f", "ogg"}, parts: one(nil, opus())},
		{
			name: "adts-aac", file: "adts-aac.aac", mux: []string{"-f", "adts"}, parts: one(nil, aac().at(22050, 1)),
			notes: "no stamps at all, the priming is not signalled",
		},
	}
}

// keptPlan is what the project's own FFmpeg cannot encode. The clips are in
// testdata, made once with a full ffmpeg.
func keptPlan() []spec {
	mp3 := func(rate int) *audio {
		a := acodec("mp3", "libmp3lame", 1152, 1105, "-b:a", "128k").at(rate, 2)
		return a
	}
	x265 := []string{"libx265", "-preset", "fast", "-crf", "26", "-x265-params", "log-level=none:keyint=25:pools=none:frame-threads=1:info=0", "-tag:v", "hvc1"}
	return []spec{
		{name: "mp4-hevc-aac", file: "mp4-hevc-aac.mp4", mux: []string{"-f", "mp4"}, parts: one(vcodec("hevc", x265...).from(0, 60), aac().told().samples(115200))},
		{name: "ts-hevc-aac", file: "ts-hevc-aac.ts", tick: 90000, mux: []string{"-f", "mpegts"}, parts: one(vcodec("hevc", x265...).from(0, 50), aac().at(44100, 1).samples(88200))},
		{name: "mp4-av1-aac", file: "mp4-av1-aac.mp4", mux: []string{"-f", "mp4"}, parts: one(vcodec("av1", "libaom-av1", "-cpu-used", "8", "-crf", "35", "-b:v", "0", "-g", "25").from(0, 50), aac().told().samples(96000))},
		{name: "webm-av1", file: "webm-av1.webm", tick: 1000, mux: []string{"-f", "webm"}, parts: one(vcodec("av1", "libaom-av1", "-cpu-used", "8", "-crf", "35", "-b:v", "0", "-g", "25").rateOf(1001, 24000).from(4000, 50), nil)},
		{
			name: "mp3-lame", file: "mp3-lame.mp3", mux: []string{"-f", "mp3", "-write_xing", "1", "-id3v2_version", "0"}, parts: one(nil, func() *audio { a := mp3(44100).told(); a.paddingTold = true; return a }()),
			notes: "the LAME header signals priming and padding",
		},
		{
			name: "mp3-plain", file: "mp3-plain.mp3", mux: []string{"-f", "mp3", "-write_xing", "0", "-id3v2_version", "0"}, parts: one(nil, mp3(44100)),
			notes: "without a LAME header nothing is signalled",
		},
		{name: "mp4-h264-mp3", file: "mp4-h264-mp3.mp4", mux: []string{"-f", "mp4"}, parts: one(h264("2").from(0, 50), mp3(48000).told().samples(96000))},
		{name: "ogg-vorbis", file: "ogg-vorbis.ogg", mux: []string{"-f", "ogg"}, parts: one(nil, func() *audio {
			a := acodec("vorbis", "libvorbis", 1, 0, "-q:a", "5").at(44100, 2)
			a.paddingTold = true
			return a
		}())},
	}
}
