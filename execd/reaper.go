package main

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// reaper is the only one that waits for children. execd is the subreaper of its place, often its pid 1: besides the
// processes it started it inherits orphans, and a zombie of anyone is reaped.
type reaper struct {
	oomScore  oomScore
	mu        sync.Mutex
	children  map[int]func(syscall.WaitStatus) // started and not yet reaped, with what to do then
	spawning  int
	unclaimed map[int]syscall.WaitStatus // reaped while a spawn was under way, whose pid was not known yet
}

func startReaper(score oomScore) *reaper {
	r := &reaper{oomScore: score, children: map[int]func(syscall.WaitStatus){}, unclaimed: map[int]syscall.WaitStatus{}}
	childEnded := make(chan os.Signal, 1)
	signal.Notify(childEnded, syscall.SIGCHLD)
	go func() {
		for range childEnded {
			for r.reapOne() {
			}
		}
	}()
	return r
}

func (r *reaper) reapOne() bool {
	r.mu.Lock()
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
	if err == syscall.EINTR {
		r.mu.Unlock()
		return true
	}
	if err != nil || pid <= 0 {
		r.mu.Unlock()
		return false
	}
	onExit, isOurs := r.children[pid]
	delete(r.children, pid)
	if !isOurs && r.spawning > 0 {
		r.unclaimed[pid] = status
	}
	r.mu.Unlock()
	if isOurs {
		onExit(status)
	}
	return true
}

// spawn starts a child; onExit is called once, in another goroutine, when it was reaped.
func (r *reaper) spawn(path string, argv []string, attr *syscall.ProcAttr, onExit func(syscall.WaitStatus)) (int, error) {
	r.mu.Lock()
	if r.spawning++; r.spawning == 1 {
		r.oomScore.whileStarting(true)
	}
	r.mu.Unlock()
	pid, err := syscall.ForkExec(path, argv, attr)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.spawning--; r.spawning == 0 {
		r.oomScore.whileStarting(false)
		defer clear(r.unclaimed)
	}
	if err != nil {
		return 0, err
	}
	status, wasReaped := r.unclaimed[pid]
	if wasReaped {
		// The status may be that of a stranger that had the same pid before: then ours is still there.
		var own syscall.WaitStatus
		switch got, err := syscall.Wait4(pid, &own, syscall.WNOHANG, nil); {
		case got == pid:
			status = own
		case err == nil:
			wasReaped = false
		}
		delete(r.unclaimed, pid)
	}
	if wasReaped {
		go onExit(status)
	} else {
		r.children[pid] = onExit
		r.oomScore.raise(pid) // under the lock: not reaped yet, its pid is its own
	}
	return pid, nil
}

// signalGroup signals the group that a child leads, and says whether it could: only before the child is reaped is
// its pid surely still its own.
func (r *reaper) signalGroup(pid int, sig syscall.Signal) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, isThere := r.children[pid]; !isThere {
		return false
	}
	return syscall.Kill(-pid, sig) == nil
}

// owns says whether pid is a child of ours that was started here and not yet reaped.
func (r *reaper) owns(pid int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, isThere := r.children[pid]
	return isThere
}
