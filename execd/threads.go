package main

import (
	"runtime"
	"sync"
)

// spareThreads is how many more the runtime may need at once: each call into the system that takes long holds one.
const spareThreads = 8

// keepThreads makes threads that the runtime then has to spare, for it never gives one back. Where a fork bomb has taken
// all that its container may have, none can be made, and the runtime would end the program and with it the container.
func keepThreads(count int) {
	var held, left sync.WaitGroup
	gate := make(chan struct{})
	for range count {
		held.Add(1)
		left.Add(1)
		go func() {
			defer left.Done()
			runtime.LockOSThread() // no two of them share one
			held.Done()
			<-gate
			runtime.UnlockOSThread()
		}()
	}
	held.Wait()
	close(gate)
	left.Wait()
}
