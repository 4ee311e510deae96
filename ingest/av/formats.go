package av

import "strings"

// formats are the demuxers that an input may use: containers and bare streams of
// picture and sound that read their own bytes only. Not among them are those that
// open other files by themselves (concat, imf, dash, image2, vobsub), that speak a
// network protocol (rtsp, sdp, sap), that take any bytes for media (raw PCM and
// video, tty) or single pictures.
var formats = strings.Fields(`
	mov,mp4,m4a,3gp,3g2,mj2 matroska,webm mpegts mpeg mpegvideo avi flv live_flv kux ogg
	asf asf_o wtv mxf gxf nut nsv rm ivf h261 h263 h264 hevc vvc obu av1 m4v mjpeg mpjpeg
	dirac dnxhd vc1 vc1test cavsvideo avs2 avs3 evc dv dxa gif apng
	wav w64 aiff au caf voc amr amrnb amrwb ape tta wv tak mpc mpc8 mp3 aac ac3 eac3 ac4
	dts dtshd truehd mlp loas flac ircam nistsphere sox spdif dsf iff oma aea shn qcp gsm
	g722 g729 ilbc aax xwma xvag swf smjpeg yuv4mpegpipe lmlm4 dhav ivr pva osq qoa sbc
	film_cpk flic roq smk bink wc3movie 4xm mm ea
	hls webvtt
`)

var formatList = strings.Join(formats, ",")

// protocols is FFmpeg's own whitelist, behind the gate: what the HLS demuxer must
// find acceptable before it asks the gate.
const (
	localProtocols  = "file,crypto,data"
	remoteProtocols = "http,https,tcp,tls,crypto,data"
)

func knownFormat(name string) bool {
	for _, f := range formats {
		if f == name {
			return true
		}
	}
	return false
}

// jumps reports whether the stamps of a format may jump, so that a large step
// forwards is a jump and not a gap: those that FFmpeg marks AVFMT_TS_DISCONT and
// that are recorded off the air.
func jumps(format string) bool {
	switch format {
	case "mpegts", "mpeg", "hls", "flv", "live_flv", "nsv", "dhav", "wtv", "pva":
		return true
	}
	return false
}
