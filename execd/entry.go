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
	argv   []string
	mu     sync.Mutex
	ended  bool
	status syscall.WaitStatus
	code   *int // instead of a status when it could not be started
}

// startMain runs argv. It stays in the session of execd, so that a terminal of the container is its own.
func startMain(r *registry, argv []string) *mainCommand {
	m := &mainCommand{argv: argv}
	env := append([]string{markOf(r.place, mainMark)}, r.environment...)
	dir, _ := os.Getwd()
	path, err := commandPath(argv[0], dir, env)
	if err == nil {
		attr := &syscall.ProcAttr{Env: env, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setpgid: true}}
		var group int32
		attr.Sys.Foreground = ioctl(0, syscall.TIOCGPGRP, unsafe.Pointer(&group)) == nil
		if _, err = r.reaper.spawn(path, argv, attr, m.exited); err != nil && attr.Sys.Foreground {
			attr.Sys.Foreground = false // a terminal that is not ours to give
			_, err = r.reaper.spawn(path, argv, attr, m.exited)
		}
	}
	if err != nil {
		code := couldNotStart
		m.ended, m.code = true, &code
		fmt.Fprintf(os.Stderr, "execd: cannot start %q: %s\n", argv[0], err)
	}
	return m
}

func (m *mainCommand) exited(status syscall.WaitStatus) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended, m.status = true, status
}

func (m *mainCommand) view() object {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.ended {
		return object{"argv": cutArgv(m.argv), "state": "running"}
	}
	code, signal := m.code, ""
	if code == nil {
		code, signal = exitOf(m.status)
	}
	if code == nil {
		return object{"argv": cutArgv(m.argv), "state": "ended", "signal": signal}
	}
	return object{"argv": cutArgv(m.argv), "state": "ended", "code": *code}
}
