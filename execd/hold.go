package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const heldWord = "holding" // said once it can be told

// hold does nothing until it is told to end. A container that runs it is there for what an orchestrator keeps free for it.
func hold(args []string) error {
	if len(args) != 0 {
		return errors.New("hold takes no arguments")
	}
	// By name, since the first process of a container dies of no signal that it does not ask for.
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGINT)
	fmt.Println(heldWord)
	<-told
	return nil
}
