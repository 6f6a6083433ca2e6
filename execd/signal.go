package main

import (
	"strconv"
	"syscall"
	"time"
)

const (
	killFor       = 5 * time.Second // how long KILL is repeated
	limitGrace    = 2 * time.Second // between TERM and KILL when a time limit is over
	shortestPause = time.Millisecond
	longestPause  = 20 * time.Millisecond
	looks         = 10 // that see nobody, before nobody is there although processes are born all the time
)

var signals = map[string]syscall.Signal{
	"TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP,
	"QUIT": syscall.SIGQUIT, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2,
}

// kin is how the family of a process is recognised.
type kin struct {
	pid        int
	start, end uint64 // ticks between which the leader lived; end counts once it was reaped
	isReaped   bool
	mark       string // WSMCP_PROCESS=<place>/<process>
}

type toll struct{ signalled, gone, left int }

// hunt sends signals to a set of processes that changes while it runs.
type hunt struct {
	find   func() []member           // who lives now
	births func() string             // another value after each birth in the place; nil: `lastBorn`
	leader int                       // of the group that strike reaches
	strike func(syscall.Signal) bool // signals that whole group at once, which no fork escapes
	struck map[int]member            // who got a signal, by pid
}

func (h *hunt) send(sig syscall.Signal, members []member) {
	isStruck := h.strike != nil && h.strike(sig)
	for _, m := range members {
		if isStruck && m.group == h.leader || m.send(sig) {
			h.struck[m.pid] = m
		}
	}
}

// wait returns when everybody is gone, at the latest after limit. Who came too late for the signal gets it, too.
func (h *hunt) wait(sig syscall.Signal, limit time.Duration) bool {
	deadline := time.Now().Add(limit)
	for pause := shortestPause; ; pause = min(2*pause, longestPause) {
		if h.toll().left == 0 {
			members := h.find()
			if len(members) == 0 {
				return true
			}
			for _, m := range members {
				if m.send(sig) {
					h.struck[m.pid] = m
				}
			}
		}
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(min(pause, time.Until(deadline)+shortestPause))
	}
}

// kill repeats until nobody is left. Who survived a round is stopped before the next: a stopped process cannot fork
// away between the look and the blow.
func (h *hunt) kill() {
	deadline := time.Now().Add(killFor)
	empty := 0
	for pause := shortestPause; ; pause = min(2*pause, longestPause) {
		births := h.births()
		members := h.find()
		// One that is about to die has no environment any more to be found by.
		if len(members) > 0 || h.toll().left > 0 {
			empty = 0
		} else if empty++; empty == looks || births == h.births() {
			// Daemons that give birth and die faster than a loaded machine looks can be missed: not without births.
			return
		}
		if time.Now().After(deadline) {
			return
		}
		if len(members) > 0 && pause > shortestPause {
			for _, m := range members {
				m.send(syscall.SIGSTOP)
			}
			members = h.find()
		}
		h.send(syscall.SIGKILL, members)
		time.Sleep(pause)
	}
}

func (h *hunt) toll() (t toll) {
	for _, m := range h.struck {
		if t.signalled++; m.isAlive() {
			t.left++
		} else {
			t.gone++
		}
	}
	return t
}

// run sends sig, and with grace gives that much time before it kills.
func (h *hunt) run(sig syscall.Signal, grace time.Duration) toll {
	h.struck = map[int]member{}
	if h.births == nil {
		h.births = lastBorn
	}
	if sig == syscall.SIGKILL {
		h.kill()
		return h.toll()
	}
	h.send(sig, h.find())
	if grace > 0 && !h.wait(sig, grace) {
		h.kill()
	}
	return h.toll()
}

// signal sends sig to everything that lives of the process.
func (p *process) signal(sig syscall.Signal, grace time.Duration) (toll, error) {
	h := &hunt{
		find:   func() []member { return p.registry.family(p) },
		leader: p.pid,
		strike: p.strikeGroup,
	}
	t := h.run(sig, grace)
	if t.signalled == 0 && p.hasEnded() {
		return t, fail("ended", "process %s has ended and nothing of it is left", p.id)
	}
	if t.left == 0 && (grace > 0 || sig == syscall.SIGKILL) {
		// Nobody holds its output any more, so its end is about to be known.
		late := time.After(p.registry.limits.lingerGrace + time.Second)
		for _, known := range []chan struct{}{p.over, p.drained} {
			select {
			case <-known:
			case <-late:
				return t, nil
			}
		}
	}
	return t, nil
}

// strikeGroup signals the group of the leader while it is there. Its number, once it was reaped, may be that of another
// child of execd, whose group this would be.
func (p *process) strikeGroup(sig syscall.Signal) bool {
	return !p.kin().isReaped && p.registry.reaper.signalGroup(p.pid, sig)
}

// endAtLimit ends a process whose time is over.
func (p *process) endAtLimit() {
	p.mu.Lock()
	isLate := p.isReaped
	if !isLate {
		p.reason = "time_limit"
	}
	p.mu.Unlock()
	if !isLate {
		_, _ = p.signal(syscall.SIGTERM, limitGrace)
	}
}

func signalName(sig syscall.Signal) string {
	for name, known := range signals {
		if known == sig {
			return name
		}
	}
	if name, isKnown := otherSignals[sig]; isKnown {
		return name
	}
	return strconv.Itoa(int(sig))
}

// otherSignals can end a process but are not sent on request.
var otherSignals = map[syscall.Signal]string{
	syscall.SIGABRT: "ABRT", syscall.SIGALRM: "ALRM", syscall.SIGBUS: "BUS", syscall.SIGFPE: "FPE", syscall.SIGILL: "ILL",
	syscall.SIGPIPE: "PIPE", syscall.SIGPROF: "PROF", syscall.SIGSEGV: "SEGV", syscall.SIGSYS: "SYS", syscall.SIGTRAP: "TRAP",
	syscall.SIGVTALRM: "VTALRM", syscall.SIGXCPU: "XCPU", syscall.SIGXFSZ: "XFSZ", syscall.SIGIO: "IO",
}
