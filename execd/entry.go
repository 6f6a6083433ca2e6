package main

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

const (
	mainMark      = ".main" // no process id has a dot
	couldNotStart = 127
)

// mainCommand is the command of a container whose entry point is execd. It has the container's own stdin, stdout
// and stderr; its end does not end execd.
type mainCommand struct {
	argv     []string
	registry *registry
	mu       sync.Mutex
	state    string // waiting (until it is released), running or ended
	status   syscall.WaitStatus
	code     *int // instead of a status when it could not be started
}

func newMain(r *registry, argv []string) *mainCommand {
	return &mainCommand{argv: argv, registry: r, state: "waiting"}
}

// release starts the command if it still waits.
func (m *mainCommand) release() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state != "waiting" {
		return nil
	}
	if !m.registry.beginSpawn() {
		return fail("start_failed", "execd is stopping")
	}
	defer m.registry.endSpawn()
	if err := m.start(); err != nil {
		code := couldNotStart
		m.state, m.code = "ended", &code
		fmt.Fprintf(os.Stderr, "execd: cannot start %q: %s\n", m.argv[0], err)
		return nil
	}
	m.state = "running"
	return nil
}

// start runs the command. It stays in the session of execd, so that a terminal of the container is its own.
func (m *mainCommand) start() error {
	r := m.registry
	env := append([]string{markOf(r.place, mainMark)}, r.environment...)
	dir, _ := os.Getwd()
	path, err := commandPath(m.argv[0], dir, env)
	if err != nil {
		return err
	}
	attr := &syscall.ProcAttr{Env: env, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setpgid: true}}
	var group int32
	attr.Sys.Foreground = ioctl(0, syscall.TIOCGPGRP, unsafe.Pointer(&group)) == nil
	if _, err = r.reaper.spawn(path, m.argv, attr, m.exited); err != nil && attr.Sys.Foreground {
		attr.Sys.Foreground = false // a terminal that is not ours to give
		_, err = r.reaper.spawn(path, m.argv, attr, m.exited)
	}
	return err
}

func (m *mainCommand) exited(status syscall.WaitStatus) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state, m.status = "ended", status
}

func (m *mainCommand) view() object {
	m.mu.Lock()
	defer m.mu.Unlock()
	view := object{"argv": cutArgv(m.argv), "state": m.state}
	if m.state != "ended" {
		return view
	}
	code, signal := m.code, ""
	if code == nil {
		code, signal = exitOf(m.status)
	}
	if code == nil {
		view["signal"] = signal
	} else {
		view["code"] = *code
	}
	return view
}

func opRelease(c *conn, _ *bareRequest, _ []byte) (answer, error) {
	return answer{later: func(<-chan struct{}) (answer, error) {
		if c.server.main == nil {
			return answer{fields: object{}}, nil
		}
		return answer{fields: object{}}, c.server.main.release()
	}}, nil
}
