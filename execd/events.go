package main

import (
	"encoding/json/jsontext"
	"encoding/json/v2"
	"sync"
	"sync/atomic"
)

// events gives what happens to the connections that asked for it. It waits for none of them.
type events struct {
	wanted      atomic.Int32
	mu          sync.Mutex
	connections map[*conn]bool
}

type event struct {
	Event   string `json:"event"`
	Process any    `json:"process,omitzero"` // a processView, or an id
	Chat    string `json:"chat,omitzero"`
	End     int64  `json:"end,omitzero"`
}

func (e *events) isWanted() bool { return e.wanted.Load() > 0 }

func (e *events) subscribe(c *conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.connections == nil {
		e.connections = map[*conn]bool{}
	}
	e.connections[c] = true
	e.wanted.Store(int32(len(e.connections)))
}

func (e *events) unsubscribe(c *conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.connections, c)
	e.wanted.Store(int32(len(e.connections)))
}

func (e *events) emit(what event) {
	if !e.isWanted() {
		return
	}
	frame := what.frame()
	e.mu.Lock()
	defer e.mu.Unlock()
	for c := range e.connections {
		c.sendEvent(frame)
	}
}

func (e event) frame() []byte {
	header, err := json.Marshal(e, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		panic(err) // a bug: events are made of plain values
	}
	frame, err := encodeFrame(header, nil)
	if err != nil {
		panic(err) // a bug: what an event shows is cut to a few thousand bytes
	}
	return frame
}
