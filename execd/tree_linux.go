package main

import (
	"bytes"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

const (
	sysPidfdSendSignal = 424 // the same number on every architecture
	sysPidfdOpen       = 434
	clockBoottime      = 7
	kernelThreads      = 2   // their parent
	ticksPerSecond     = 100 // of start times in /proc: USER_HZ, a constant of the interface
)

// member is a process of the system as /proc has it. pid and start together name it for ever.
type member struct {
	pid, parent, group, session int
	start                       uint64 // ticks since boot
	state                       byte
}

func (m member) isDead() bool { return m.state == 'Z' || m.state == 'X' }

// isAlive says whether this very process, not a later one with its pid, still runs.
func (m member) isAlive() bool {
	now, err := readMember(m.pid)
	return err == nil && m.isStill(now)
}

// isStill says whether what has the pid now is this very process.
func (m member) isStill(now member) bool { return now.start == m.start && !now.isDead() }

func ticksNow() uint64 {
	var now syscall.Timespec
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&now)), 0)
	return uint64(now.Sec)*ticksPerSecond + uint64(now.Nsec)*ticksPerSecond/1e9
}

func readMember(pid int) (member, error) {
	text, err := readProc(pid, "stat")
	if err != nil {
		return member{}, err
	}
	// "pid (name) state ppid pgrp session ... starttime(22)": the name may hold anything, also ") ".
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 20 {
		return member{}, syscall.ESRCH
	}
	number := func(i int) int { n, _ := strconv.Atoi(fields[i]); return n }
	start, _ := strconv.ParseUint(fields[19], 10, 64)
	return member{pid, number(1), number(2), number(3), start, fields[0][0]}, nil
}

// readProc reads a small file of a process with three system calls, which matters with a thousand processes.
func readProc(pid int, name string) ([]byte, error) {
	fd, err := syscall.Open("/proc/"+strconv.Itoa(pid)+"/"+name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	text := make([]byte, 0, 1024)
	for {
		n, err := syscall.Read(fd, text[len(text):cap(text)])
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return text, err
		}
		if text = text[:len(text)+n]; len(text) == cap(text) {
			text = append(text, make([]byte, len(text))...)[:len(text)]
		} else if name == "stat" {
			return text, nil
		}
	}
}

// census lists the living processes of the place, the newest first: they may be gone soon.
func census() []member {
	directory, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer directory.Close()
	names, _ := directory.Readdirnames(-1)
	pids := make([]int, 0, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	members := make([]member, 0, len(pids))
	for _, pid := range slices.Backward(pids) {
		if m, err := readMember(pid); err == nil && !m.isDead() {
			members = append(members, m)
		}
	}
	return members
}

// everybody is the census of this execd's own callers.
var everybody = &sharedLook{look: census}

// lastBorn is the pid that was given out last in this pid namespace.
func lastBorn() string {
	text, _ := os.ReadFile("/proc/loadavg")
	return string(text[bytes.LastIndexByte(text, ' ')+1:])
}

// environHolds says whether the environment with which a process was started holds an entry that begins with prefix.
func environHolds(m member, prefix string) bool {
	environ, err := readEnviron(m.pid)
	// In the middle of an exec there is none for a moment; the kernel's own threads never have one.
	for tries := 0; tries < 10 && err == nil && len(environ) == 0 && m.parent != kernelThreads; tries++ {
		time.Sleep(shortestPause)
		environ, err = readEnviron(m.pid)
	}
	if err != nil {
		return false
	}
	return bytes.HasPrefix(environ, []byte(prefix)) || bytes.Contains(environ, []byte("\x00"+prefix))
}

// readEnviron reads as the process's own user where root alone is not enough: in a container root lacks
// CAP_SYS_PTRACE, and the kernel then compares the file system ids of the reading thread.
func readEnviron(pid int) ([]byte, error) {
	environ, err := readProc(pid, "environ")
	if err != syscall.EACCES || os.Geteuid() != 0 {
		return environ, err
	}
	var info syscall.Stat_t
	if err := syscall.Stat("/proc/"+strconv.Itoa(pid), &info); err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSGID, uintptr(info.Gid), 0, 0)
	_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, uintptr(info.Uid), 0, 0)
	environ, err = readProc(pid, "environ")
	_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, 0, 0, 0)
	_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSGID, 0, 0, 0)
	return environ, err
}

// closure completes a set with all descendants, and with all processes in the sessions and groups of its members
// unless one who leads them is alive and not in the set: then they are of others. Nobody above execd is ever in it.
func closure(all []member, set map[int]member, self int) []member {
	byPid := map[int]member{}
	for _, m := range all {
		byPid[m.pid] = m
	}
	isAbove := map[int]bool{0: true, 1: true}
	for pid := self; pid > 0; pid = byPid[pid].parent {
		isAbove[pid] = true
	}
	maps.DeleteFunc(set, func(pid int, _ member) bool { return isAbove[pid] })
	own := byPid[self]
	isOurs := func(number int) bool {
		if number == own.session || number == own.group || number == 0 { // 0: outside of this pid namespace
			return false
		}
		_, isAlive := byPid[number]
		_, isIn := set[number]
		return isIn || !isAlive
	}
	for grew := true; grew; {
		grew = false
		shared := map[int]bool{}
		for _, m := range set {
			shared[m.session] = shared[m.session] || isOurs(m.session)
			shared[m.group] = shared[m.group] || isOurs(m.group)
		}
		for _, m := range all {
			if _, isIn := set[m.pid]; isIn || isAbove[m.pid] {
				continue
			}
			if _, isChild := set[m.parent]; isChild || shared[m.session] || shared[m.group] {
				set[m.pid] = m
				grew = true
			}
		}
	}
	return slices.Collect(maps.Values(set))
}

// family is what lives of a process: its group and session, its descendants, and those that left both but carry
// its mark in their environment. A session number is trusted only as long as it cannot have been recycled: while the
// leader is not reaped, or for processes that are older than its end.
func (r *registry) family(p *process) []member {
	all := everybody.census()
	k := p.kin() // after the census: a leader that is not reaped now had its number all the time
	return k.among(all, os.Getpid(), r.reaper.owns, environHolds)
}

// among decides who of all is of the family. owns says whether a pid is a child that execd started and did not reap.
func (k kin) among(all []member, self int, owns func(int) bool, holds func(member, string) bool) []member {
	if k.pid <= 1 {
		return nil // it never ran
	}
	set := map[int]member{}
	for _, m := range all {
		if m.start < k.start {
			continue
		}
		isSame := m.pid == k.pid || m.session == k.pid || m.group == k.pid
		if isSame && (!k.isReaped || m.start <= k.end) && (m.pid != k.pid || !k.isReaped) {
			set[m.pid] = m
		} else if !owns(m.pid) && (isSame || !owns(m.session)) && holds(m, k.mark) {
			set[m.pid] = m
		}
	}
	return closure(all, set, self)
}

// descendants are all processes below execd. Since it is the subreaper none can leave.
func (r *registry) descendants() []member {
	all, set, self := census(), map[int]member{}, os.Getpid()
	for _, m := range all {
		if m.parent == self {
			set[m.pid] = m
		}
	}
	return closure(all, set, self)
}

// leftovers are processes of a former execd of this place.
func leftovers(place string) []member {
	set := map[int]member{}
	all := census()
	for _, m := range all {
		if environHolds(m, markName+"="+place+"/") {
			set[m.pid] = m
		}
	}
	return closure(all, set, os.Getpid())
}

// hasAdopted says whether an orphan that carries the mark has become execd's own child.
func (r *registry) hasAdopted(mark string) bool {
	self := os.Getpid()
	text, _ := readProc(self, "task/"+strconv.Itoa(self)+"/children")
	for _, field := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(field); err == nil && !r.reaper.owns(pid) && environHolds(member{pid: pid}, mark) {
			return true
		}
	}
	return false
}

// send signals this very process and never a later one with its pid.
func (m member) send(sig syscall.Signal) bool {
	fd, _, errno := syscall.Syscall(sysPidfdOpen, uintptr(m.pid), 0, 0)
	if errno == 0 {
		defer syscall.Close(int(fd))
	}
	if !m.isAlive() {
		return false
	}
	if errno != 0 { // a kernel before 5.3: the check just made is the best there is
		return syscall.Kill(m.pid, sig) == nil
	}
	_, _, errno = syscall.Syscall6(sysPidfdSendSignal, fd, uintptr(sig), 0, 0, 0, 0)
	return errno == 0
}
