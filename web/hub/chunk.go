package hub

import (
	"encoding/binary"
	"fmt"
)

// Label is the label of the data channel.
const Label = "seehear.v1"

// Bounds of the chunked form.
const (
	MaxChunk   = 15 << 10 // bytes of a chunk with its header
	MaxMessage = 4 << 20  // bytes of a message
)

const (
	version    = 1
	headerSize = 12
	piece      = MaxChunk - headerSize // of a message, at most
)

// Chunks returns how many chunks a message of n bytes takes; none for none.
func Chunks(n int) int { return (n + piece - 1) / piece }

// AppendChunk writes the chunk of that index, from 0, of a message of at most
// [MaxMessage] bytes.
func AppendChunk(dst, msg []byte, number uint32, index int) []byte {
	part := msg[index*piece:]
	part = part[:min(len(part), piece)]
	dst = append(dst, 'S', 'H', version, 0)
	dst = binary.BigEndian.AppendUint32(dst, number)
	dst = binary.BigEndian.AppendUint16(dst, uint16(index))
	dst = binary.BigEndian.AppendUint16(dst, uint16(Chunks(len(msg))))
	return append(dst, part...)
}

// Decoder puts the messages of one data channel together. The zero value is
// ready; it is used by one goroutine.
type Decoder struct {
	begun  bool // a message came before
	number uint32
	index  int // of the next chunk; 0: between messages
	count  int
	lost   uint64
	msg    []byte
}

// Lost returns how many messages the numbers that came say were left out.
func (d *Decoder) Lost() uint64 { return d.lost }

// Push takes the next chunk. With the last chunk of a message it returns the
// message, one JSON object, valid until the next call, and its number; before
// that nil. After an error, which names what is wrong with the chunk, the message
// that was begun is forgotten and the next first chunk begins anew.
func (d *Decoder) Push(chunk []byte) (msg []byte, number uint32, err error) {
	if err := d.push(chunk); err != nil {
		d.index = 0
		return nil, 0, fmt.Errorf("hub: chunk: %w", err)
	}
	if d.index < d.count {
		return nil, 0, nil
	}
	d.index = 0
	return d.msg, d.number, nil
}

func (d *Decoder) push(chunk []byte) error {
	switch {
	case len(chunk) <= headerSize || len(chunk) > MaxChunk:
		return fmt.Errorf("%d bytes; %d to %d are allowed", len(chunk), headerSize+1, MaxChunk)
	case chunk[0] != 'S' || chunk[1] != 'H':
		return fmt.Errorf("begins with %#02x %#02x, not with SH", chunk[0], chunk[1])
	case chunk[2] != version:
		return fmt.Errorf("version %d, this is a decoder of version %d", chunk[2], version)
	case chunk[3] != 0:
		return fmt.Errorf("unknown flags %#02x", chunk[3])
	}
	number := binary.BigEndian.Uint32(chunk[4:])
	index, count := int(binary.BigEndian.Uint16(chunk[8:])), int(binary.BigEndian.Uint16(chunk[10:]))
	switch {
	case index >= count:
		return fmt.Errorf("index %d of %d", index, count)
	case count > Chunks(MaxMessage):
		return fmt.Errorf("%d chunks are more than %d bytes", count, MaxMessage)
	case index < count-1 && len(chunk) != MaxChunk:
		return fmt.Errorf("%d bytes in chunk %d of %d, which only the last may", len(chunk), index, count)
	case index != d.index || index > 0 && (number != d.number || count != d.count):
		return fmt.Errorf("message %d, chunk %d of %d, while message %d, chunk %d of %d was due", number, index, count, d.number, d.index, d.count)
	}
	if index == 0 {
		if gap := number - d.number - 1; d.begun && gap != 0 {
			if gap >= 1<<31 {
				return fmt.Errorf("message %d behind message %d", number, d.number)
			}
			d.lost += uint64(gap)
		}
		d.begun, d.number, d.count, d.msg = true, number, count, d.msg[:0]
	}
	d.msg = append(d.msg, chunk[headerSize:]...)
	if len(d.msg) > MaxMessage {
		return fmt.Errorf("message of more than %d bytes", MaxMessage)
	}
	d.index++
	return nil
}
