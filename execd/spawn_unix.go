package main

import (
	"syscall"
	"unsafe"
)

func ioctl(fd, request uintptr, argument unsafe.Pointer) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(argument)); errno != 0 {
		return errno
	}
	return nil
}

func setTtySize(fd uintptr, size ttySize) error {
	window := [4]uint16{uint16(size.Rows), uint16(size.Cols)}
	return ioctl(fd, syscall.TIOCSWINSZ, unsafe.Pointer(&window))
}
