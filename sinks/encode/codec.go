package encode

import (
	"errors"
	"fmt"

	"github.com/asticode/go-astiav"
)

// codec owns one open encoder and the packet that it fills.
type codec struct {
	ctx *astiav.CodecContext
	pkt *astiav.Packet
	out emit
}

// newCodec allocates the encoder of that name; setup sets its fields before it
// is opened with the options.
func newCodec(name string, options map[string]string, setup func(*astiav.CodecContext)) (_ *codec, err error) {
	enc := astiav.FindEncoderByName(name)
	if enc == nil {
		return nil, fmt.Errorf("this FFmpeg has no encoder %s", name)
	}
	c := &codec{ctx: astiav.AllocCodecContext(enc), pkt: astiav.AllocPacket()}
	handles.Add(1)
	defer func() {
		if err != nil {
			c.free()
		}
	}()
	if c.ctx == nil || c.pkt == nil {
		return nil, errors.New("out of memory")
	}
	setup(c.ctx)
	// Bit-exact output carries no version and no date.
	c.ctx.SetFlags(c.ctx.Flags().Add(astiav.CodecContextFlagBitexact))
	d := astiav.NewDictionary()
	defer d.Free()
	for k, v := range options {
		if err := d.Set(k, v, astiav.NewDictionaryFlags()); err != nil {
			return nil, fmt.Errorf("%s: option %s=%s: %w", name, k, v, err)
		}
	}
	if err := c.ctx.Open(enc, d); err != nil {
		return nil, fmt.Errorf("open encoder %s: %w", name, err)
	}
	return c, nil
}

// toContainer takes the codec's configuration out of the packets: MP4 keeps it in
// its own header.
func toContainer(c *astiav.CodecContext) {
	c.SetFlags(c.Flags().Add(astiav.CodecContextFlagGlobalHeader))
}

// send encodes f, nil to drain, and hands on what is ready.
func (c *codec) send(f *astiav.Frame) error {
	if err := c.ctx.SendFrame(f); err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	for {
		err := c.ctx.ReceivePacket(c.pkt)
		if errors.Is(err, astiav.ErrEagain) || errors.Is(err, astiav.ErrEof) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("encode: %w", err)
		}
		if err := c.out(c.pkt); err != nil {
			return err
		}
	}
}

func (c *codec) free() {
	if c.pkt != nil {
		c.pkt.Free()
		c.pkt = nil
	}
	if c.ctx != nil {
		c.ctx.Free()
		c.ctx = nil
		handles.Add(-1)
	}
}
