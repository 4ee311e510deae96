package encode

import (
	"encoding/binary"
	"os"
	"testing"
)

func writeFile(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// oggOpus puts Opus packets in Ogg, one a page, with no pre-skip (RFC 7845).
func oggOpus(pkts []livePacket) (b []byte) {
	head := append([]byte("OpusHead\x01\x02"), 0, 0, 0x80, 0xbb, 0, 0, 0, 0, 0)
	tags := []byte("OpusTags\x00\x00\x00\x00\x00\x00\x00\x00")
	b = oggPage(b, 2, 0, 0, head)
	b = oggPage(b, 0, 0, 1, tags)
	for i, p := range pkts {
		var flags byte
		if i == len(pkts)-1 {
			flags = 4
		}
		b = oggPage(b, flags, uint64(i+1)*opusFrame, uint32(i+2), p.data)
	}
	return b
}

func oggPage(b []byte, flags byte, granule uint64, number uint32, data []byte) []byte {
	page := append([]byte("OggS\x00"), flags)
	page = binary.LittleEndian.AppendUint64(page, granule)
	page = binary.LittleEndian.AppendUint32(page, 1)
	page = binary.LittleEndian.AppendUint32(page, number)
	page = append(page, 0, 0, 0, 0, byte(len(data)/255+1))
	for range len(data) / 255 {
		page = append(page, 255)
	}
	page = append(append(page, byte(len(data)%255)), data...)
	crc := uint32(0)
	for _, v := range page {
		crc ^= uint32(v) << 24
		for range 8 {
			if crc&0x80000000 != 0 {
				crc = crc<<1 ^ 0x04c11db7
			} else {
				crc <<= 1
			}
		}
	}
	binary.LittleEndian.PutUint32(page[22:], crc)
	return append(b, page...)
}
