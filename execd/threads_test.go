package main

import (
	"os"
	"testing"
)

func TestThreadsThatWereMadeStay(t *testing.T) {
	keepThreads(spareThreads)
	before := threads(t)
	if before < spareThreads {
		t.Fatalf("%d threads, fewer than the %d to spare", before, spareThreads)
	}
	keepThreads(spareThreads)
	if after := threads(t); after > before+2 { // the runtime may have made one for itself meanwhile
		t.Fatalf("%d threads where %d were to spare: they were made anew", after, before)
	}
}

func threads(t *testing.T) int {
	t.Helper()
	found, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Skip("this system has no /proc")
	}
	return len(found)
}
