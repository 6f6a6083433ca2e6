package main

import (
	"bufio"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	helloWithin  = 5 * time.Second
	maxOpen      = 1024    // requests that a connection may have under way
	maxOpenBytes = 8 << 20 // of their bodies
	maxQueued    = 8 << 20 // bytes of replies; beyond, requests wait until the client reads
	// An event waits so long for others and for a reply to go with: each write of a bridge wakes the engine.
	eventsWithin = 5 * time.Millisecond
	maxEvents    = 1024 // in the queue; beyond, they are dropped and the client is told to list again
	lastWords    = 2 * time.Second
	writeWithin  = time.Minute // a client that does not read for so long is closed
)

// conn serves one client. Its reader takes requests in order; what has to wait goes on in a goroutine of its own;
// its writer alone writes. Nothing outside ever waits for a client.
type conn struct {
	server *server
	stream *net.UnixConn
	raw    syscall.RawConn
	ready  chan struct{} // tells the writer to look
	ended  chan struct{} // closed when the client has gone

	mu           sync.Mutex
	room         *sync.Cond
	queue        [][]byte
	queued       int // bytes in the queue and in what is being written
	events       int // in the queue
	hasLostEvent bool
	isClosed     bool // nothing more is sent once the queue is empty
	open         map[int64]chan struct{}
	openBytes    int
	waiting      sync.WaitGroup
}

// answer is what a request gets: fields and a body at once, or later.
type answer struct {
	fields object
	body   []byte
	later  func(cancel <-chan struct{}) (answer, error)
}

func (s *server) newConn(stream *net.UnixConn) *conn {
	c := &conn{
		server: s, stream: stream, ready: make(chan struct{}, 1), ended: make(chan struct{}),
		open: map[int64]chan struct{}{},
	}
	c.room = sync.NewCond(&c.mu)
	c.raw, _ = stream.SyscallConn() // it always has one
	return c
}

// serve returns when the connection is over and nothing of it is left but requests that outlive their client.
func (c *conn) serve() {
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.write()
	}()
	c.read()
	c.server.registry.events.unsubscribe(c)
	close(c.ended) // waiting reads answer
	over := make(chan struct{})
	go func() {
		c.waiting.Wait()
		close(over)
	}()
	timeout := time.NewTimer(lastWords)
	defer timeout.Stop()
	select {
	case <-over:
	case <-timeout.C:
	}
	c.close()
	select {
	case <-written:
	case <-timeout.C:
	}
	c.stream.Close()
	<-written
}

// patient reads as long as something arrives every now and then.
type patient struct {
	stream net.Conn
	limit  time.Duration
}

func (p patient) Read(b []byte) (int, error) {
	if err := p.stream.SetReadDeadline(time.Now().Add(p.limit)); err != nil {
		return 0, err
	}
	return p.stream.Read(b)
}

func (c *conn) read() {
	_ = c.stream.SetReadDeadline(time.Now().Add(helloWithin))
	header, _, err := readFrame(c.stream, maxUnauth)
	if err != nil || !c.hello(header) {
		return
	}
	from := bufio.NewReader(patient{c.stream, c.server.registry.limits.idle})
	for {
		header, body, err := readFrame(from, maxFrame)
		if err != nil || !c.waitForRoom() {
			return
		}
		c.handle(header, body)
	}
}

// handle begins one request. Unreadable ones are answered if they have an id.
func (c *conn) handle(header jsontext.Value, body []byte) {
	var e envelope
	if err := json.Unmarshal(header, &e); err != nil || e.ID < 1 {
		c.reply(e.ID, answer{}, fail("bad_request", "a request has a positive id and an op"))
		return
	}
	op, isKnown := operations[e.Op]
	if !isKnown {
		c.reply(e.ID, answer{}, fail("bad_request", "there is no op %q", cutText(e.Op, 50)))
		return
	}
	cancel, err := c.begin(e, len(body))
	if err != nil {
		c.reply(e.ID, answer{}, err)
		return
	}
	result, err := op(c, header, body)
	if err != nil || result.later == nil {
		c.end(e.ID, len(body))
		c.reply(e.ID, result, err)
		return
	}
	c.waiting.Add(1)
	go func() {
		defer c.waiting.Done()
		result, err := result.later(cancel)
		c.end(e.ID, len(body))
		c.reply(e.ID, result, err)
	}()
}

func (c *conn) begin(e envelope, bytes int) (cancel chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case has(c.open, e.ID):
		return nil, fail("bad_request", "request %d is still open", e.ID)
	case len(c.open) >= maxOpen && e.Op != "cancel" || c.openBytes+bytes > maxOpenBytes && c.openBytes > 0:
		return nil, fail("limit", "%d requests with %d bytes are open on this connection", len(c.open), c.openBytes)
	}
	cancel = make(chan struct{})
	c.open[e.ID] = cancel
	c.openBytes += bytes
	return cancel, nil
}

func (c *conn) end(id int64, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, id)
	c.openBytes -= bytes
}

// cancel ends the waiting of an open request.
func (c *conn) cancel(target int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cancel := c.open[target]; cancel != nil && !isDone(cancel) {
		close(cancel)
	}
}

func (c *conn) reply(id int64, result answer, err error) {
	if err != nil {
		var known *failure
		if !errors.As(err, &known) {
			known = fail("internal", "%s", err)
		}
		result = answer{fields: object{"error": known}}
	}
	header, err := replyHeader(id, result.fields)
	var frame []byte
	if err == nil {
		frame, err = encodeFrame(header, result.body)
	}
	if err != nil {
		header, _ = replyHeader(id, object{"error": fail("internal", "the answer cannot be sent: %s", err)})
		frame, _ = encodeFrame(header, nil)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.enqueue(frame)
}

// waitForRoom holds up this client, and no one else, until it has read enough of what it was sent.
func (c *conn) waitForRoom() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.queued >= maxQueued && !c.isClosed {
		c.room.Wait()
	}
	return !c.isClosed
}

func (c *conn) sendEvent(frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hasLostEvent || c.events >= maxEvents || c.queued >= maxQueued {
		c.hasLostEvent = true
		return
	}
	if c.isClosed {
		return
	}
	c.queue = append(c.queue, frame)
	c.queued += len(frame)
	if c.events++; c.events == 1 {
		time.AfterFunc(eventsWithin, c.wakeWriter)
	}
}

// enqueue, under the lock, sends a frame, or puts it into the queue behind what is there.
func (c *conn) enqueue(frame []byte) {
	if c.isClosed {
		return
	}
	if c.queued == 0 {
		// Nothing is before it: what the socket takes at once needs no other goroutine.
		_ = c.raw.Write(func(fd uintptr) bool {
			if n, err := syscall.Write(int(fd), frame); err == nil {
				frame = frame[n:]
			}
			return true
		})
		if len(frame) == 0 {
			return
		}
	}
	c.queue = append(c.queue, frame)
	c.queued += len(frame)
	c.wakeWriter()
}

func (c *conn) wakeWriter() {
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isClosed = true
	c.room.Broadcast()
	c.wakeWriter()
}

// write sends the queue until the connection is closed and the queue empty, or the client does not read.
func (c *conn) write() {
	for range c.ready {
		for {
			c.mu.Lock()
			frames, isClosed := net.Buffers(c.queue), c.isClosed
			c.queue, c.events = nil, 0
			size := c.queued
			c.mu.Unlock()
			if len(frames) == 0 {
				if isClosed {
					return
				}
				break
			}
			_ = c.stream.SetWriteDeadline(time.Now().Add(writeWithin))
			if _, err := frames.WriteTo(c.stream); err != nil {
				c.close()
				c.stream.Close()
				return
			}
			c.mu.Lock()
			c.queued -= size
			if c.hasLostEvent {
				c.hasLostEvent = false
				c.enqueue(event{Event: "relist"}.frame())
			}
			c.room.Broadcast()
			c.mu.Unlock()
		}
	}
}
