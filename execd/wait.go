package main

import (
	"bytes"
	"errors"
	"math"
	"regexp"
	"regexp/syntax"
	"sync"
	"time"
)

const (
	maxPattern    = 1024
	overlap       = 16 << 10 // matches up to this long are found wherever they lie
	scanBytes     = 128 << 10
	maxWaitMs     = math.MaxInt64 / int64(time.Millisecond) / 2
	defaultWindow = 64 << 10
	floodRest     = 3 // a scan that a flood has overrun rests so many times as long as it took
)

var scanBuffers = sync.Pool{New: func() any { return new([scanBytes]byte) }}

// wait is one waiting read.
type wait struct {
	process *process
	output  *output
	offset  int64
	until   string
	pattern *regexp.Regexp
	idle    time.Duration
	timeout time.Duration
	match   *matchView

	since time.Time // idle: when the request came
	seen  int64     // pattern: up to here it was looked for
	from  int64     // pattern: where the next look begins
}

func newWait(spec *waitSpec, p *process, o *output) (*wait, error) {
	w := &wait{process: p, output: o, until: spec.Until, since: time.Now()}
	if spec.TimeoutMs < 0 || spec.IdleMs < 0 {
		return nil, fail("bad_request", "timeout_ms and idle_ms are at least 0")
	}
	w.timeout = time.Duration(min(spec.TimeoutMs, maxWaitMs)) * time.Millisecond
	w.idle = time.Duration(min(spec.IdleMs, maxWaitMs)) * time.Millisecond
	switch spec.Until {
	case "output", "exit", "idle":
	case "pattern":
		if len(spec.Pattern) > maxPattern {
			return nil, fail("bad_pattern", "the pattern has %d bytes; at most %d are allowed", len(spec.Pattern), maxPattern)
		}
		var err error
		if w.pattern, err = regexp.Compile("(?m)" + spec.Pattern); err != nil {
			return nil, fail("bad_pattern", "the pattern is no regular expression that RE2 takes: %s", reasonOfPattern(err))
		}
	default:
		return nil, fail("bad_request", "a wait is until output, exit, pattern or idle")
	}
	return w, nil
}

// reasonOfPattern is what is wrong, without the expression: ours has a prefix that its author did not write.
func reasonOfPattern(err error) string {
	var known *syntax.Error
	if errors.As(err, &known) {
		return known.Code.String()
	}
	return err.Error()
}

// run waits and says what woke it: what it waits for, the end of the process, or that its time was over, be it
// because the wait was cancelled or because the client has gone.
func (w *wait) run(cancel, gone <-chan struct{}) string {
	p := w.process
	wake := make(chan struct{}, 1)
	if w.until == "output" || w.until == "pattern" {
		p.mu.Lock()
		p.readers[wake] = true
		p.mu.Unlock()
		defer func() {
			p.mu.Lock()
			delete(p.readers, wake)
			p.mu.Unlock()
		}()
	}
	timeout := time.NewTimer(w.timeout)
	defer timeout.Stop()
	for {
		over, news, again := p.over, wake, (<-chan time.Time)(nil)
		isOver := isDone(p.over)
		isMet, pause := w.look()
		switch {
		case isMet:
			return w.until
		case isOver && (pause < 0 || w.until == "idle"):
			return "exit"
		case pause >= 0:
			news, again = nil, time.After(pause)
		}
		if isOver {
			over = nil
		}
		select {
		case <-over:
		case <-news:
		case <-again:
		case <-timeout.C:
			return "timeout"
		case <-cancel:
			return "timeout"
		case <-gone:
			return "timeout"
		}
	}
}

// look says whether the wait is met by now, and if not, after which pause to look again without any news (negative:
// only news can change it).
func (w *wait) look() (isMet bool, pause time.Duration) {
	switch w.until {
	case "output":
		w.process.mu.Lock()
		defer w.process.mu.Unlock()
		return w.output.end > w.offset, -1
	case "idle":
		w.process.mu.Lock()
		defer w.process.mu.Unlock()
		since := w.since
		if w.output.writtenAt.After(since) {
			since = w.output.writtenAt
		}
		rest := w.idle - time.Since(since)
		return rest <= 0, rest
	case "pattern":
		return w.scan()
	}
	return false, -1
}

// scan looks for the pattern in the next bytes that it has not seen. It works on a copy, so that the output never
// waits for a slow pattern; what was dropped meanwhile is skipped.
func (w *wait) scan() (isMet bool, pause time.Duration) {
	began := time.Now()
	buffer := scanBuffers.Get().(*[scanBytes]byte)
	defer scanBuffers.Put(buffer)
	start, text, isOverrun, hasMore := w.copyNext(buffer[:0])
	if len(text) == 0 {
		return false, -1
	}
	if at := w.pattern.FindIndex(text); at != nil {
		// A match that touches an end beyond which there is more may be a false "$" or go on.
		if !hasMore || at[1] < len(text) || at[1]-at[0] > overlap {
			w.match = &matchView{start + int64(at[0]), start + int64(at[1])}
			return true, 0
		}
	}
	w.seen = start + int64(len(text))
	// The next look begins where a line begins, so that "^" means what it says.
	from := max(0, len(text)-overlap)
	line := bytes.LastIndexByte(text[max(0, from-overlap):from], '\n')
	if line >= 0 {
		from = max(0, from-overlap) + line + 1
	}
	w.from = start + int64(from)
	switch {
	case isOverrun:
		return false, floodRest * time.Since(began)
	case hasMore:
		return false, 0
	}
	return false, -1
}

// copyNext copies the bytes at w.from, if some of them are new.
func (w *wait) copyNext(buffer []byte) (start int64, text []byte, isOverrun, hasMore bool) {
	w.process.mu.Lock()
	defer w.process.mu.Unlock()
	o := w.output
	start, end, missed := o.window(w.from, scanBytes)
	if span := o.span(); end <= w.seen && end == span.HeadEnd {
		start, end, _ = o.window(span.TailStart, scanBytes)
		missed = start - w.seen
	}
	if end <= w.seen {
		return 0, nil, false, false
	}
	return start, o.appendTo(buffer, start, end), missed > 0, end < o.end
}
