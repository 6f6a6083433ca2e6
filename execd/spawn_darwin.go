package main

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

func makePipe(ends *[2]int) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := syscall.Pipe(ends[:]); err != nil {
		return err
	}
	syscall.CloseOnExec(ends[0])
	syscall.CloseOnExec(ends[1])
	return nil
}

func widenPipe(uintptr, int) {}

func openTty(size ttySize, owner *syscall.Credential) (*os.File, int, error) {
	fd, err := syscall.Open("/dev/ptmx", syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("no terminal: /dev/ptmx: %w", err)
	}
	master := os.NewFile(uintptr(fd), "tty")
	var name [128]byte
	slave := 0
	if err = ioctl(uintptr(fd), syscall.TIOCPTYGRANT, nil); err == nil {
		err = ioctl(uintptr(fd), syscall.TIOCPTYUNLK, nil)
	}
	if err == nil {
		err = ioctl(uintptr(fd), syscall.TIOCPTYGNAME, unsafe.Pointer(&name))
	}
	if err == nil {
		path := string(name[:max(0, bytes.IndexByte(name[:], 0))])
		slave, err = syscall.Open(path, syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC, 0)
	}
	if err == nil {
		err = setTtySize(uintptr(fd), size)
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
