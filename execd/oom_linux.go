package main

import (
	"bytes"
	"strconv"
	"syscall"
)

// Where memory runs out the kernel ends what scores highest, be it the only one that must not end. Scores are thousandths
// of the memory of the place, added to what a process has.
const (
	childOomScore = 500  // above ours: more than execd with all the output it may hold
	spawnOomScore = 250  // ours for the moment of a start: less than what runs, more than later
	maxOomScore   = 1000 // of the kernel
)

// oomScore makes processes go before execd. A child inherits the score of its parent, and a shell may have children of
// its own before anybody could write to its file: so execd raises itself while it starts one. No privilege is needed to
// raise a score, or to lower it again to what it was.
type oomScore struct {
	fd  int // our own score, -1 if it cannot be changed
	own int
}

// openOomScore must come before harden, which closes our own files to us.
func openOomScore() oomScore {
	fd, err := syscall.Open("/proc/self/oom_score_adj", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return oomScore{fd: -1}
	}
	text := make([]byte, 16)
	n, _ := syscall.Pread(fd, text, 0)
	own, err := strconv.Atoi(string(bytes.TrimSpace(text[:max(n, 0)])))
	if err != nil {
		syscall.Close(fd)
		return oomScore{fd: -1}
	}
	return oomScore{fd, own}
}

func (o oomScore) text(above int) []byte {
	return strconv.AppendInt(nil, int64(min(o.own+above, maxOomScore)), 10)
}

// whileStarting is called before the first of the starts under way, and after the last.
func (o oomScore) whileStarting(isStarting bool) {
	if o.fd < 0 {
		return
	}
	above := 0
	if isStarting {
		above = spawnOomScore
	}
	_, _ = syscall.Pwrite(o.fd, o.text(above), 0)
}

// raise gives a child its score; one whose files we may not write keeps that of its start.
func (o oomScore) raise(pid int) {
	if o.fd < 0 {
		return
	}
	fd, err := syscall.Open("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	_, _ = syscall.Write(fd, o.text(childOomScore))
	syscall.Close(fd)
}
