package main

import (
	"sync/atomic"
	"testing"
)

func TestWhoAsksWhileOthersLookSharesTheNextLookOnly(t *testing.T) {
	const asking = 100
	began, goOn := make(chan int, asking+1), make(chan struct{})
	count := 0
	s := &sharedLook{look: func() []member {
		count++
		seen := count
		began <- seen
		<-goOn
		return []member{{pid: seen}}
	}}
	first, later := make(chan int), make(chan int, asking)
	go func() { first <- s.census()[0].pid }()
	expect(t, "look", <-began, 1)
	var asked atomic.Int32
	for range asking {
		go func() { asked.Add(1); later <- s.census()[0].pid }()
	}
	eventually(t, "all ask", func() bool { return asked.Load() == asking })
	goOn <- struct{}{}
	expect(t, "who asked first has", <-first, 1)
	close(goOn)
	most := 0
	for range asking {
		seen := <-later
		if seen == 1 {
			t.Fatal("a look that began before it was asked for was given")
		}
		most = max(most, seen)
	}
	if most > asking/2 { // without sharing each has one; some may have been late to ask
		t.Fatalf("%d looks for %d who asked at once", most, asking)
	}
}
