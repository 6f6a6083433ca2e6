package main

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

const (
	fSetPipeSize = 1031   // F_SETPIPE_SZ
	tiocGPtPeer  = 0x5441 // TIOCGPTPEER: the slave, whatever /dev/pts is mounted where
)

func makePipe(ends *[2]int) error { return syscall.Pipe2(ends[:], syscall.O_CLOEXEC) }

// widenPipe makes a pipe hold size bytes, if the system's limit for this user allows it.
func widenPipe(fd uintptr, size int) {
	_, _, _ = syscall.Syscall(syscall.SYS_FCNTL, fd, fSetPipeSize, uintptr(size))
}

func openTty(size ttySize, owner *syscall.Credential) (*os.File, int, error) {
	fd, err := syscall.Open("/dev/ptmx", syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("no terminal: /dev/ptmx: %w", err)
	}
	master := os.NewFile(uintptr(fd), "tty")
	unlocked := int32(0)
	if err = ioctl(uintptr(fd), syscall.TIOCSPTLCK, unsafe.Pointer(&unlocked)); err == nil {
		err = setTtySize(uintptr(fd), size)
	}
	slave := 0
	if err == nil {
		slave, err = openSlave(uintptr(fd))
	}
	if err == nil && owner != nil {
		err = syscall.Fchown(slave, int(owner.Uid), -1)
	}
	if err != nil {
		master.Close()
		return nil, 0, fmt.Errorf("no terminal: %w", err)
	}
	return master, slave, nil
}

func openSlave(master uintptr) (int, error) {
	const flags = syscall.O_RDWR | syscall.O_NOCTTY | syscall.O_CLOEXEC
	if fd, _, errno := syscall.Syscall(syscall.SYS_IOCTL, master, tiocGPtPeer, flags); errno == 0 {
		return int(fd), nil
	}
	var number uint32
	if err := ioctl(master, syscall.TIOCGPTN, unsafe.Pointer(&number)); err != nil {
		return 0, err
	}
	return syscall.Open(fmt.Sprintf("/dev/pts/%d", number), flags, 0)
}
