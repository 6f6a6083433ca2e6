package main

import (
	"encoding/binary"
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"io"
)

const (
	maxFrame  = 4 << 20  // bytes after the first length field
	maxWindow = 2 << 20  // bytes of output in one reply: leaves room for its header
	maxList   = 3 << 20  // bytes of the processes or names in one reply
	maxUnauth = 64 << 10 // bytes of a frame from a client that has not said hello
)

var (
	errTooLong   = errors.New("frame is too long")
	errBadHeader = errors.New("frame header is no JSON object")
)

// readFrame reads one frame of at most limit bytes. io.EOF means that the stream ended between two frames,
// io.ErrUnexpectedEOF that it ended inside one.
func readFrame(r io.Reader, limit int) (header jsontext.Value, body []byte, err error) {
	var lengths [8]byte
	if _, err = io.ReadFull(r, lengths[:4]); err != nil {
		return nil, nil, err
	}
	length := binary.BigEndian.Uint32(lengths[:4])
	if length > uint32(limit) {
		return nil, nil, errTooLong
	}
	if length < 4 {
		return nil, nil, errBadHeader
	}
	if _, err = io.ReadFull(r, lengths[4:]); err != nil {
		return nil, nil, cutOff(err)
	}
	headerLength := binary.BigEndian.Uint32(lengths[4:])
	if headerLength > length-4 {
		return nil, nil, errBadHeader
	}
	frame := make([]byte, length-4)
	if _, err = io.ReadFull(r, frame); err != nil {
		return nil, nil, cutOff(err)
	}
	header, body = frame[:headerLength:headerLength], frame[headerLength:]
	if header.Kind() != '{' || !header.IsValid() {
		return nil, nil, errBadHeader
	}
	return header, body, nil
}

func cutOff(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// encodeFrame gives header (the text of a JSON object) and body as one frame.
func encodeFrame(header, body []byte) ([]byte, error) {
	length := 4 + len(header) + len(body)
	if length > maxFrame {
		return nil, fmt.Errorf("%w: %d bytes", errTooLong, length)
	}
	frame := make([]byte, 0, 4+length)
	frame = binary.BigEndian.AppendUint32(frame, uint32(length))
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(header)))
	return append(append(frame, header...), body...), nil
}
