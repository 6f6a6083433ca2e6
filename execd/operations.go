package main

import (
	"encoding/json/jsontext"
	"encoding/json/v2"
	"time"
)

// operation does a request at once, or says how to do what takes time.
type operation func(c *conn, header jsontext.Value, body []byte) (answer, error)

var operations map[string]operation

func init() {
	operations = map[string]operation{
		"start": decoded(opStart), "list": decoded(opList), "get": decoded(opGet), "read": decoded(opRead),
		"write": decoded(opWrite), "resize": decoded(opResize), "signal": decoded(opSignal), "cancel": decoded(opCancel),
		"stats": decoded(opStats), "ping": decoded(opPing), "stop": decoded(opStop), "hello": decoded(opHelloAgain),
		"stat": decoded(opStat), "read_file": decoded(opReadFile), "write_file": decoded(opWriteFile),
		"list_directory": decoded(opListDirectory), "probe": decoded(opProbe), "release": decoded(opRelease),
	}
}

func decoded[Q any](do func(*conn, *Q, []byte) (answer, error)) operation {
	return func(c *conn, header jsontext.Value, body []byte) (answer, error) {
		q := new(Q)
		if err := decode(header, q); err != nil {
			return answer{}, err
		}
		return do(c, q, body)
	}
}

func opPing(*conn, *bareRequest, []byte) (answer, error) { return answer{fields: object{}}, nil }

func opHelloAgain(*conn, *helloRequest, []byte) (answer, error) {
	return answer{}, fail("bad_request", "hello was already said")
}

func opStart(c *conn, q *startRequest, _ []byte) (answer, error) {
	// What is wrong with the read is said before anything runs.
	if err := q.First.check(); err != nil {
		return answer{}, err
	}
	return answer{later: func(cancel <-chan struct{}) (answer, error) {
		p, isRepeated, err := c.server.registry.start(q)
		if err != nil {
			return answer{}, err
		}
		found := answer{fields: object{"process": p.view()}}
		if q.First != nil {
			if found, err = readFirst(c, p, q.First, cancel, found); err != nil {
				return answer{}, err
			}
		}
		found.fields["repeated"] = isRepeated
		return found, nil
	}}, nil
}

func (f *firstRead) check() error {
	if f == nil {
		return nil
	}
	if limit := or(f.Limit, defaultWindow); limit < 1 || limit > maxWindow {
		return fail("bad_request", "limit is 1 to %d", maxWindow)
	}
	if f.Wait == nil {
		return nil
	}
	_, err := newWait(f.Wait, nil, nil)
	return err
}

// readFirst answers a start like a read; a process of which only a receipt is left stays as it was found.
func readFirst(c *conn, p *process, f *firstRead, cancel <-chan struct{}, found answer) (answer, error) {
	request := &readRequest{Limit: f.Limit, Wait: f.Wait}
	r := &reading{process: p, request: request, output: &p.out, limit: or(f.Limit, defaultWindow)}
	if err := r.begin(); err != nil {
		return found, nil
	}
	if r.wait != nil {
		r.woke = r.wait.run(cancel, c.ended)
		if !c.waitForRoom() {
			return found, nil
		}
	}
	read, err := r.answer()
	if err != nil { // it ended meanwhile, and others after it: it began all the same
		return answer{fields: object{"process": p.view()}}, nil
	}
	return read, nil
}

func opList(c *conn, q *listRequest, _ []byte) (answer, error) {
	shown, total, running, err := c.server.registry.list(q)
	if err != nil {
		return answer{}, err
	}
	text, err := json.Marshal(shown, jsontext.AllowInvalidUTF8(true))
	for err == nil && len(text) > maxList { // the client asks for the rest with skip
		shown = shown[:len(shown)*3/4]
		text, err = json.Marshal(shown, jsontext.AllowInvalidUTF8(true))
	}
	return answer{fields: object{"processes": jsontext.Value(text), "total": total, "running": running}}, err
}

func opGet(c *conn, q *getRequest, _ []byte) (answer, error) {
	p, err := c.server.registry.find(q.subject)
	if err != nil {
		return answer{}, err
	}
	return answer{fields: object{"process": p.view()}}, nil
}

func opRead(c *conn, q *readRequest, _ []byte) (answer, error) {
	p, err := c.server.registry.find(q.subject)
	if err != nil {
		return answer{}, err
	}
	r := &reading{process: p, request: q, output: &p.out, limit: or(q.Limit, defaultWindow)}
	if err := r.begin(); err != nil {
		return answer{}, err
	}
	if r.wait == nil {
		return r.answer()
	}
	return answer{later: func(cancel <-chan struct{}) (answer, error) {
		r.woke = r.wait.run(cancel, c.ended)
		if !c.waitForRoom() {
			return answer{fields: object{}}, nil
		}
		return r.answer()
	}}, nil
}

// reading is one read request.
type reading struct {
	process *process
	request *readRequest
	output  *output
	limit   int
	offset  int64
	wait    *wait
	woke    string
}

func (r *reading) begin() error {
	q := r.request
	switch {
	case q.Stream == "err" && r.process.isSeparate:
		r.output = &r.process.err
	case q.Stream == "err":
		return fail("no_stream", "process %s has one stream", r.process.id)
	case q.Stream != "" && q.Stream != "out":
		return fail("bad_request", "stream is out or err")
	case q.Offset != nil && q.Tail != nil:
		return fail("bad_request", "a read has an offset or a tail")
	}
	if r.limit < 1 || r.limit > maxWindow || or(q.Tail, 0) < 0 {
		return fail("bad_request", "limit is 1 to %d, tail at least 0", maxWindow)
	}
	if q.Wait != nil {
		var err error
		if r.wait, err = newWait(q.Wait, r.process, r.output); err != nil {
			return err
		}
	}
	r.process.mu.Lock()
	defer r.process.mu.Unlock()
	err := r.place()
	if r.wait != nil {
		r.wait.offset, r.wait.seen, r.wait.from = r.offset, r.offset, r.offset
	}
	return err
}

// place sets where the window begins; it is called under the lock of the process.
func (r *reading) place() error {
	if r.process.isReceipt {
		return fail("expired", "the output of process %s is no longer kept", r.process.id)
	}
	if r.offset = or(r.request.Offset, 0); r.request.Tail != nil {
		r.offset = r.output.lastWindow(min(*r.request.Tail, r.limit))
	}
	if r.offset < 0 || r.offset > r.output.end {
		return fail("bad_offset", "offset %d: the output ends at %d", r.offset, r.output.end)
	}
	return nil
}

func (r *reading) answer() (answer, error) {
	r.process.mu.Lock()
	defer r.process.mu.Unlock()
	if err := r.place(); err != nil {
		return answer{}, err
	}
	start, end, missed := r.output.window(r.offset, r.limit)
	fields := object{"process": r.process.viewLocked(), "start": start, "end": end, "missed": missed}
	if r.wait != nil {
		fields["woke"] = r.woke
	}
	if r.woke == "pattern" {
		fields["match"] = r.wait.match
	}
	return answer{fields: fields, body: r.output.appendTo(make([]byte, 0, end-start), start, end)}, nil
}

func opWrite(c *conn, q *writeRequest, body []byte) (answer, error) {
	p, err := c.server.registry.find(q.subject)
	if err != nil {
		return answer{}, err
	}
	if err := p.checkInput(); err != nil {
		return answer{}, err
	}
	before, done := p.takeTurn()
	return answer{later: func(cancel <-chan struct{}) (answer, error) {
		written, err := p.write(body, q.Close, before, done, cancel)
		return answer{fields: object{"written": written}}, err
	}}, nil
}

func opResize(c *conn, q *resizeRequest, _ []byte) (answer, error) {
	p, err := c.server.registry.find(q.subject)
	switch {
	case err != nil:
		return answer{}, err
	case !p.hasTty:
		return answer{}, fail("no_tty", "process %s has no terminal", p.id)
	case !q.isValid():
		return answer{}, fail("bad_request", "a tty has 1 to %d cols and rows", maxTtySize)
	case p.hasEnded():
		return answer{}, fail("ended", "process %s has ended", p.id)
	}
	terminal, err := p.input.SyscallConn()
	if err == nil {
		var setErr error
		if err = terminal.Control(func(fd uintptr) { setErr = setTtySize(fd, q.ttySize) }); err == nil {
			err = setErr
		}
	}
	if err != nil {
		return answer{}, fail("ended", "process %s has closed its terminal", p.id)
	}
	return answer{fields: object{}}, nil
}

func (t *ttySize) isValid() bool {
	return min(t.Cols, t.Rows) >= 1 && max(t.Cols, t.Rows) <= maxTtySize
}

func opSignal(c *conn, q *signalRequest, _ []byte) (answer, error) {
	p, err := c.server.registry.find(q.subject)
	if err != nil {
		return answer{}, err
	}
	sig, isKnown := signals[q.Signal]
	if !isKnown {
		return answer{}, fail("bad_signal", "there is no signal %q; TERM, KILL, INT, HUP, QUIT, USR1 and USR2 are known", cutText(q.Signal, 50))
	}
	grace, err := graceOf(q.GraceMs)
	if err != nil {
		return answer{}, err
	}
	return answer{later: func(<-chan struct{}) (answer, error) {
		t, err := p.signal(sig, grace)
		return answer{fields: object{"process": p.view(), "signalled": t.signalled, "gone": t.gone, "left": t.left}}, err
	}}, nil
}

func graceOf(ms int64) (time.Duration, error) {
	if ms < 0 || ms > maxGrace.Milliseconds() {
		return 0, fail("bad_request", "grace_ms is 0 to %d", maxGrace.Milliseconds())
	}
	return time.Duration(ms) * time.Millisecond, nil
}

func opCancel(c *conn, q *cancelRequest, _ []byte) (answer, error) {
	c.cancel(q.Target)
	return answer{fields: object{}}, nil
}

func opStats(c *conn, _ *bareRequest, _ []byte) (answer, error) {
	r := c.server.registry
	r.mu.Lock()
	ended, receipts := len(r.ended), len(r.receipts)
	running := len(r.byID) - ended - receipts
	r.mu.Unlock()
	return answer{fields: object{
		"running": running, "ended": ended, "receipts": receipts, "held_bytes": r.held.Load(),
		"connections": c.server.connected(), "uptime_ms": time.Since(c.server.startedAt).Milliseconds(),
		"rss_bytes": residentBytes(),
	}}, nil
}

func opStop(c *conn, q *stopRequest, _ []byte) (answer, error) {
	grace, err := graceOf(q.GraceMs)
	if err != nil {
		return answer{}, err
	}
	return answer{later: func(<-chan struct{}) (answer, error) {
		t := c.server.registry.stop(grace)
		c.server.exitSoon()
		return answer{fields: object{"gone": t.gone, "left": t.left}}, nil
	}}, nil
}
