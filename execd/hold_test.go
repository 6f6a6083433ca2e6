package main

import (
	"bufio"
	"os"
	"syscall"
	"testing"
)

func TestHoldWaitsUntilItIsTold(t *testing.T) {
	for _, told := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		command := execdCommand("hold")
		output, err := command.StdoutPipe()
		must(t, err)
		must(t, command.Start())
		said, err := bufio.NewReader(output).ReadString('\n')
		must(t, err)
		expect(t, "said", said, heldWord+"\n")
		must(t, command.Process.Signal(told))
		must(t, command.Wait())
	}
}
