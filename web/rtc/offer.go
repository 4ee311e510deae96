package rtc

import (
	"strings"

	"github.com/pion/sdp/v3"
)

// wish is what an offer asks for.
type wish struct {
	video, audio Codec // the best that both sides know, "" for none
	data         bool
}

// readOffer looks at what a viewer can take. H.264 goes before VP8: most sources
// have it already.
func readOffer(text string) (w wish, err error) {
	var d sdp.SessionDescription
	if err = d.UnmarshalString(text); err != nil {
		return w, &problem{400, "the offer is no SDP: " + err.Error()}
	}
	for _, m := range d.MediaDescriptions {
		if m.MediaName.Media == "application" {
			w.data = true
			continue
		}
		if _, no := m.Attribute("sendonly"); no {
			continue
		}
		if _, no := m.Attribute("inactive"); no {
			continue
		}
		names, lines := map[string]string{}, map[string]string{}
		for _, a := range m.Attributes {
			pt, value, _ := strings.Cut(a.Value, " ")
			switch a.Key {
			case "rtpmap":
				names[pt] = strings.ToLower(value)
			case "fmtp":
				lines[pt] = value
			}
		}
		for pt, name := range names {
			switch {
			case m.MediaName.Media == "audio" && name == "opus/48000/2":
				w.audio = Opus
			case m.MediaName.Media != "video":
			case name == "h264/90000" && strings.Contains(lines[pt], "packetization-mode=1"):
				w.video = H264
			case name == "vp8/90000" && w.video == "":
				w.video = VP8
			}
		}
	}
	if w.video == "" && w.audio == "" && !w.data {
		return w, &problem{406, "the offer takes neither H.264 nor VP8 nor Opus"}
	}
	return w, nil
}
