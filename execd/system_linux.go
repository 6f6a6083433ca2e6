package main

import (
	"bytes"
	"net"
	"os"
	"strconv"
	"syscall"
)

const (
	prSetDumpable       = 4
	prSetChildSubreaper = 36
)

// harden makes execd the parent of every orphan below it, and keeps processes of its own user out of its memory and
// environment. Children are readable again: exec resets that.
func harden() {
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0)
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetDumpable, 0, 0)
}

// peerOf is the user at the other end of a connection.
func peerOf(stream *net.UnixConn) (uid int, isKnown bool) {
	uid = -1 // whoever cannot be known is refused
	raw, err := stream.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) {
			if peer, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
				uid = int(peer.Uid)
			}
		})
	}
	return uid, true
}

func residentBytes() int64 {
	text, _ := readProc(os.Getpid(), "statm")
	if fields := bytes.Fields(text); len(fields) > 1 {
		pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
		return pages * int64(os.Getpagesize())
	}
	return 0
}
