package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	copyBuffer   = 256 << 10
	connectEvery = 10 * time.Millisecond
)

// attach is the bridge between stdin and stdout and the socket in dir. It ends when either side ends; after the end
// of stdin it still passes on what is on its way.
func attach(dir string, wait time.Duration, stdin io.Reader, stdout io.Writer) error {
	stream, err := connect(filepath.Join(dir, "sock"), wait)
	if err != nil {
		return fmt.Errorf("no execd listens in %s: %w", dir, reasonOfDial(err))
	}
	defer stream.Close()
	go func() {
		_, _ = io.CopyBuffer(struct{ io.Writer }{stream}, struct{ io.Reader }{stdin}, make([]byte, copyBuffer))
		_ = stream.CloseWrite()
		_ = stream.SetReadDeadline(time.Now().Add(2 * lastWords))
	}()
	_, _ = io.CopyBuffer(struct{ io.Writer }{stdout}, struct{ io.Reader }{stream}, make([]byte, copyBuffer))
	return nil
}

func connect(path string, wait time.Duration) (*net.UnixConn, error) {
	for deadline := time.Now().Add(wait); ; time.Sleep(connectEvery) {
		stream, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path})
		if err == nil || time.Now().After(deadline) {
			return stream, err
		}
	}
}

func reasonOfDial(err error) error {
	if dial, isDial := err.(*net.OpError); isDial {
		if call, isCall := dial.Err.(*os.SyscallError); isCall {
			return call.Err
		}
		return dial.Err
	}
	return err
}
