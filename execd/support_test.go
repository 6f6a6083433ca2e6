package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json/v2"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	roleName   = "WSMCP_TEST_ROLE" // a name that no child of execd sees
	testSecret = "0123456789abcdef"
	soon       = 10 * time.Second // nothing takes so long unless it is broken
)

// The test binary is also execd, so that the race detector watches a real one.
func TestMain(m *testing.M) {
	if os.Getenv(roleName) == "execd" {
		main()
		return
	}
	os.Exit(m.Run())
}

func verifierOf(secret string) string {
	digest := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(digest[:])
}

func execdCommand(args ...string) *exec.Cmd {
	command := exec.Command(os.Args[0], args...)
	command.Env = append(os.Environ(), roleName+"=execd", verifierName+"="+verifierOf(testSecret), "GORACE=halt_on_error=1 atexit_sleep_ms=0")
	return command
}

// place is one running execd.
type place struct {
	t       *testing.T
	dir, id string
	command *exec.Cmd
	stderr  bytes.Buffer
	exited  chan error
}

var places atomic.Int64

func newPlace(t *testing.T, flags ...string) *place {
	t.Helper()
	return newPlaceAs(t, nil, flags...)
}

// newPlaceAs starts an execd, whose command prepare may change before. In the end nothing of it may be left.
func newPlaceAs(t *testing.T, prepare func(*exec.Cmd), flags ...string) *place {
	t.Helper()
	base, err := os.MkdirTemp("", "x")
	must(t, err)
	must(t, os.Chmod(base, 0o711))
	p := &place{t: t, dir: filepath.Join(base, "d"), exited: make(chan error, 1)}
	p.id = fmt.Sprintf("t%d-%d", os.Getpid(), places.Add(1))
	p.command = execdCommand(append([]string{"serve", "--dir", p.dir, "--place", p.id}, flags...)...)
	p.command.Stderr = &p.stderr
	if prepare != nil {
		prepare(p.command)
	}
	must(t, p.command.Start())
	go func() { p.exited <- p.command.Wait() }()
	t.Cleanup(func() {
		_ = p.command.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-p.exited:
			if err != nil {
				t.Errorf("execd ended with %v", err)
			}
		case <-time.After(soon):
			_ = p.command.Process.Kill()
			t.Error("execd did not end after TERM")
		}
		if t.Failed() {
			t.Log(p.stderr.String())
		}
		for _, m := range leftovers(p.id) {
			t.Errorf("process %d is left", m.pid)
			_ = syscall.Kill(m.pid, syscall.SIGKILL)
		}
		os.RemoveAll(base)
	})
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fields is a header as it is on the wire.
type fields map[string]any

type reply struct {
	fields
	body []byte
}

// client speaks the protocol with one goroutine that reads.
type client struct {
	t      testing.TB
	stream io.ReadWriteCloser
	lastID atomic.Int64
	mu     sync.Mutex
	change *sync.Cond
	answer map[int64]reply
	events []fields
	isOver bool
}

func (p *place) dial() net.Conn {
	p.t.Helper()
	stream, err := connect(filepath.Join(p.dir, "sock"), soon)
	must(p.t, err)
	return stream
}

func (p *place) client() *client {
	p.t.Helper()
	c := newClient(p.t, p.dial())
	c.hello(fields{"events": true})
	return c
}

func newClient(t testing.TB, stream io.ReadWriteCloser) *client {
	c := &client{t: t, stream: stream, answer: map[int64]reply{}}
	c.change = sync.NewCond(&c.mu)
	go func() {
		for {
			header, body, err := readFrame(stream, maxFrame)
			c.mu.Lock()
			var f fields
			if err == nil {
				err = json.Unmarshal(header, &f)
			}
			if err != nil {
				c.isOver = true
			} else if f["event"] != nil {
				c.events = append(c.events, f)
			} else {
				c.answer[int64(f["id"].(float64))] = reply{f, body}
			}
			c.change.Broadcast()
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { stream.Close() })
	return c
}

func (c *client) send(op string, f fields, body ...byte) int64 {
	c.t.Helper()
	header := fields{"id": c.lastID.Add(1), "op": op}
	for name, value := range f {
		header[name] = value
	}
	text, err := json.Marshal(header)
	must(c.t, err)
	frame, err := encodeFrame(text, body)
	must(c.t, err)
	_, err = c.stream.Write(frame)
	must(c.t, err)
	return header["id"].(int64)
}

// until waits for a change of what arrived that makes found true.
func (c *client) until(what string, found func() bool) {
	c.t.Helper()
	isLate := false
	timer := time.AfterFunc(soon, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		isLate = true
		c.change.Broadcast()
	})
	defer timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !found() {
		if isLate || c.isOver {
			c.t.Fatalf("%s did not come (connection over: %v)", what, c.isOver)
		}
		c.change.Wait()
	}
}

func (c *client) wait(id int64) (answer reply) {
	c.t.Helper()
	c.until(fmt.Sprintf("the reply to %d", id), func() bool {
		found := false
		if answer, found = c.answer[id]; found {
			delete(c.answer, id)
		}
		return found
	})
	return answer
}

func (c *client) event(name, process string) (found fields) {
	c.t.Helper()
	c.until("the event "+name, func() bool {
		for i, e := range c.events {
			id := e["process"]
			if view, isView := id.(map[string]any); isView {
				id = view["process"]
			}
			if e["event"] == name && (process == "" || id == process) {
				found = e
				c.events = append(c.events[:i:i], c.events[i+1:]...)
				return true
			}
		}
		return false
	})
	return found
}

// call gives the reply, which is no error.
func (c *client) call(op string, f fields, body ...byte) reply {
	c.t.Helper()
	r := c.wait(c.send(op, f, body...))
	if r.fields["error"] != nil {
		c.t.Fatalf("%s %v: %v", op, f, r.fields["error"])
	}
	return r
}

// fail gives the error that comes as the reply.
func (c *client) fails(code, op string, f fields, body ...byte) string {
	c.t.Helper()
	r := c.wait(c.send(op, f, body...))
	problem, isError := r.fields["error"].(map[string]any)
	if !isError || problem["code"] != code {
		c.t.Fatalf("%s %v: %v, not %s", op, f, r.fields, code)
	}
	text := problem["text"].(string)
	if text == "" || strings.ContainsAny(text, "\n\r") {
		c.t.Fatalf("the text %q is no line", text)
	}
	return text
}

func (c *client) hello(f fields) reply {
	c.t.Helper()
	return c.call("hello", with(fields{"protocol": 1, "secret": testSecret, "client": "test"}, f))
}

func with(f fields, more fields) fields {
	all := fields{}
	for name, value := range f {
		all[name] = value
	}
	for name, value := range more {
		all[name] = value
	}
	return all
}

var processes atomic.Int64

// start runs a shell command for chat c.
func (c *client) start(shell string, more fields) string {
	c.t.Helper()
	id := fmt.Sprintf("p%d", processes.Add(1))
	f := with(fields{"process": id, "chat": "c", "digest": "d", "shell": shell}, more)
	if f["argv"] != nil {
		delete(f, "shell")
	}
	c.call("start", f)
	return id
}

func at(process string) fields { return fields{"process": process, "chat": "c"} }

// read reads with a wait.
func (c *client) read(process, until string, more fields) reply {
	c.t.Helper()
	wait := fields{"until": until, "timeout_ms": soon.Milliseconds()}
	for _, name := range []string{"pattern", "idle_ms", "timeout_ms"} {
		if more[name] != nil {
			wait[name] = more[name]
			delete(more, name)
		}
	}
	return c.call("read", with(with(at(process), fields{"wait": wait}), more))
}

// ended waits for the end and gives the process and its output.
func (c *client) ended(process string) (view map[string]any, text string) {
	c.t.Helper()
	r := c.read(process, "exit", fields{"limit": maxWindow})
	if r.fields["woke"] != "exit" {
		c.t.Fatalf("process %s did not end: %v", process, r.fields)
	}
	return r.view(), string(r.body)
}

func (r reply) view() map[string]any { return r.fields["process"].(map[string]any) }

func (r reply) number(name string) int64 {
	n, _ := r.fields[name].(float64)
	return int64(n)
}

func numberOf(f map[string]any, name string) int64 {
	n, _ := f[name].(float64)
	return int64(n)
}

func expect[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: %v, not %v", what, got, want)
	}
}

// eventually is for what only /proc can tell; it does not wait a fixed time.
func eventually(t testing.TB, what string, isSo func() bool) {
	t.Helper()
	for deadline := time.Now().Add(soon); !isSo(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
