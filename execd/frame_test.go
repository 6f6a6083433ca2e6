package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"io"
	"os"
	"testing"
)

type goldenFrame struct {
	Name     string         `json:"name"`
	FrameHex string         `json:"frame_hex"`
	Header   jsontext.Value `json:"header"`
	BodyHex  string         `json:"body_hex"`
	Error    string         `json:"error"`
}

func goldenFrames(t testing.TB) (frames []goldenFrame) {
	file, err := os.Open("testdata/golden.jsonl")
	must(t, err)
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var g goldenFrame
		must(t, json.Unmarshal(lines.Bytes(), &g))
		frames = append(frames, g)
	}
	return frames
}

func TestGoldenFrames(t *testing.T) {
	classes := map[string]error{"too_long": errTooLong, "bad_header": errBadHeader, "truncated": io.ErrUnexpectedEOF}
	for _, g := range goldenFrames(t) {
		t.Run(g.Name, func(t *testing.T) {
			raw, err := hex.DecodeString(g.FrameHex)
			must(t, err)
			header, body, err := readFrame(bytes.NewReader(raw), maxFrame)
			if g.Error != "" {
				if !errors.Is(err, classes[g.Error]) {
					t.Fatalf("%v, not %s", err, g.Error)
				}
				return
			}
			must(t, err)
			expect(t, "body", hex.EncodeToString(body), g.BodyHex)
			must(t, g.Header.Compact())
			expect(t, "header", string(header), string(g.Header))
			again, err := encodeFrame(header, body)
			must(t, err)
			expect(t, "frame", hex.EncodeToString(again), g.FrameHex)
		})
	}
}

func TestAFrameHasAtMostFourMebibytes(t *testing.T) {
	frame, err := encodeFrame([]byte("{}"), make([]byte, maxFrame-6))
	must(t, err)
	_, body, err := readFrame(bytes.NewReader(frame), maxFrame)
	must(t, err)
	expect(t, "body", len(body), maxFrame-6)
	if _, err := encodeFrame([]byte("{}"), make([]byte, maxFrame-5)); !errors.Is(err, errTooLong) {
		t.Fatal(err)
	}
	if _, _, err := readFrame(bytes.NewReader(nil), maxFrame); err != io.EOF {
		t.Fatalf("the end between two frames is %v", err)
	}
}

func FuzzFrame(f *testing.F) {
	for _, g := range goldenFrames(f) {
		raw, _ := hex.DecodeString(g.FrameHex)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		header, body, err := readFrame(bytes.NewReader(raw), maxFrame)
		if err != nil {
			return
		}
		again, err := encodeFrame(header, body)
		must(t, err)
		if !bytes.Equal(again, raw[:len(again)]) {
			t.Fatal("a frame that was read is written differently")
		}
	})
}
