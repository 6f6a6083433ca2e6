package main

import (
	"syscall"
	"time"
)

// processView is a process as clients see it.
type processView struct {
	Process     string       `json:"process"`
	Chat        string       `json:"chat"`
	Argv        []string     `json:"argv"`
	Shell       string       `json:"shell,omitzero"`
	Cwd         string       `json:"cwd"`
	User        string       `json:"user"`
	HasTty      bool         `json:"has_tty"`
	HasStdin    bool         `json:"has_stdin"`
	Streams     string       `json:"streams"`
	Key         string       `json:"key"`
	Pid         int          `json:"pid"`
	State       string       `json:"state"`
	StartedAtMs int64        `json:"started_at_ms"`
	EndedAtMs   int64        `json:"ended_at_ms,omitzero"`
	DurationMs  int64        `json:"duration_ms"`
	Code        *int         `json:"code,omitzero"`
	Signal      string       `json:"signal,omitzero"`
	Reason      string       `json:"reason,omitzero"`
	Out         outputRange  `json:"out"`
	Err         *outputRange `json:"err,omitzero"`
	Lingering   []int        `json:"lingering,omitzero"`
	IsReceipt   bool         `json:"is_receipt"`
	Last        string       `json:"last,omitzero"`
}

type mainView struct {
	Argv   []string `json:"argv"`
	State  string   `json:"state"`
	Code   *int     `json:"code,omitzero"`
	Signal string   `json:"signal,omitzero"`
}

func (p *process) view() processView {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.viewLocked()
}

func (p *process) viewLocked() processView {
	v := p.viewWithoutKin()
	if p.isEnded {
		v.Lingering = p.alive()
	}
	return v
}

// viewWithoutKin asks the system nothing.
func (p *process) viewWithoutKin() processView {
	v := processView{
		Process: p.id, Chat: p.chat, Argv: p.argv, Shell: p.shell, Cwd: p.cwd, User: p.user, HasTty: p.hasTty,
		HasStdin: p.hasStdin, Streams: "merged", Key: p.key, Pid: p.pid, State: "running", Reason: p.reason,
		StartedAtMs: p.startedAt.UnixMilli(), DurationMs: time.Since(p.startedAt).Milliseconds(),
		Out: p.out.span(), IsReceipt: p.isReceipt, Last: p.last,
	}
	if p.isSeparate {
		span := p.err.span()
		v.Streams, v.Err = "separate", &span
	}
	if !p.isEnded {
		return v
	}
	v.State = "ended"
	v.EndedAtMs, v.DurationMs = p.endedAt.UnixMilli(), p.endedAt.Sub(p.startedAt).Milliseconds()
	v.Code, v.Signal = exitOf(p.status)
	return v
}

// alive are those that an ended process left behind and that live on; who they were does not change any more.
func (p *process) alive() (pids []int) {
	for _, m := range p.lingering {
		if m.isAlive() {
			pids = append(pids, m.pid)
		}
	}
	return pids
}

// exitOf gives a code or the name of a signal.
func exitOf(status syscall.WaitStatus) (code *int, signal string) {
	if status.Signaled() {
		return nil, signalName(status.Signal())
	}
	exit := status.ExitStatus()
	return &exit, ""
}
