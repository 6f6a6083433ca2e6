package main

import (
	"encoding/json/jsontext"
	"encoding/json/v2"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// failure is an expected error: a code of the protocol and one line of text.
type failure struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

func (f *failure) Error() string { return f.Code + ": " + f.Text }

func fail(code, format string, args ...any) *failure {
	return &failure{code, oneLine(fmt.Sprintf(format, args...))}
}

// oneLine makes text from outside fit for one line of an answer.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	return cutText(text, 1024)
}

// cutText shortens text to about limit bytes, at a character.
func cutText(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit-3], "") + "…"
}

// envelope begins every request.
type envelope struct {
	ID int64  `json:"id"`
	Op string `json:"op"`
}

// subject names the process that a request is about, and the chat that owns it.
type subject struct {
	Process string `json:"process"`
	Chat    string `json:"chat"`
}

type ttySize struct {
	Cols int `json:"cols"`
	Rows int `json:"rows"`
}

type helloRequest struct {
	envelope
	Protocol int    `json:"protocol"`
	Secret   string `json:"secret"`
	Client   string `json:"client"`
	Events   bool   `json:"events"`
}

type startRequest struct {
	envelope
	subject
	Key         string            `json:"key"`
	Digest      string            `json:"digest"`
	Argv        []string          `json:"argv"`
	Shell       string            `json:"shell"`
	Cwd         string            `json:"cwd"`
	Env         map[string]string `json:"env"`
	ClearEnv    bool              `json:"clear_env"`
	User        string            `json:"user"`
	Tty         *ttySize          `json:"tty"`
	Stdin       bool              `json:"stdin"`
	Streams     string            `json:"streams"`
	TimeLimitMs int64             `json:"time_limit_ms"`
	MaxRunning  *int              `json:"max_running"`
	HeadBytes   *int              `json:"head_bytes"`
	TailBytes   *int              `json:"tail_bytes"`
	First       *firstRead        `json:"first"`
}

// firstRead asks for the beginning of the output with the answer to a start: it saves a request.
type firstRead struct {
	Limit *int      `json:"limit"`
	Wait  *waitSpec `json:"wait"`
}

type listRequest struct {
	envelope
	Chat     string `json:"chat"`
	All      bool   `json:"all"`
	State    string `json:"state"`
	Skip     int    `json:"skip"`
	Limit    int    `json:"limit"`
	Receipts bool   `json:"receipts"`
}

type getRequest struct {
	envelope
	subject
}

type waitSpec struct {
	Until     string `json:"until"`
	Pattern   string `json:"pattern"`
	IdleMs    int64  `json:"idle_ms"`
	TimeoutMs int64  `json:"timeout_ms"`
}

type readRequest struct {
	envelope
	subject
	Stream string    `json:"stream"`
	Offset *int64    `json:"offset"`
	Limit  *int      `json:"limit"`
	Tail   *int      `json:"tail"`
	Wait   *waitSpec `json:"wait"`
}

type writeRequest struct {
	envelope
	subject
	Close bool `json:"close"`
}

type resizeRequest struct {
	envelope
	subject
	ttySize
}

type signalRequest struct {
	envelope
	subject
	Signal  string `json:"signal"`
	GraceMs int64  `json:"grace_ms"`
}

type cancelRequest struct {
	envelope
	Target int64 `json:"target"`
}

type stopRequest struct {
	envelope
	GraceMs int64 `json:"grace_ms"`
}

type bareRequest struct{ envelope }

type matchView struct {
	Start int64 `json:"start"`
	End   int64 `json:"end"`
}

// object is the fields of an answer.
type object map[string]any

// decode reads the header of a request strictly: what is misspelt must not pass for a default.
func decode(header jsontext.Value, into any) error {
	if err := json.Unmarshal(header, into, json.RejectUnknownMembers(true)); err != nil {
		return fail("bad_request", "%s", err)
	}
	return nil
}

// replyHeader puts the id of a request before the fields of its answer.
func replyHeader(id int64, fields object) ([]byte, error) {
	text, err := json.Marshal(fields, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return nil, err
	}
	header := strconv.AppendInt([]byte(`{"id":`), id, 10)
	if len(text) > len("{}") {
		header = append(header, ',')
	}
	return append(header, text[1:]...), nil
}

// textOf shows bytes that may begin inside a character.
func textOf(b []byte) string {
	for i := 0; i < min(3, len(b)) && b[0]&0xC0 == 0x80; i++ {
		b = b[1:]
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}
