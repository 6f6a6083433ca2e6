//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func BenchmarkListOfAThousand(b *testing.B) { benchmarkList(b, 1000, &listRequest{All: true}) }

func BenchmarkListTwentyOfFiveThousand(b *testing.B) {
	benchmarkList(b, 5000, &listRequest{All: true, Limit: 20})
}

func benchmarkList(b *testing.B, count int, q *listRequest) {
	r := testRegistry(generous())
	for i := range count {
		r.add(fmt.Sprint("p", i), fmt.Sprint("c", i%40), time.Time{}, 0)
	}
	c := &conn{server: &server{registry: r}}
	for b.Loop() {
		result, err := opList(c, q, nil)
		must(b, err)
		_, err = replyHeader(1, result.fields)
		must(b, err)
	}
}

func BenchmarkCensus(b *testing.B) {
	n := 0
	for b.Loop() {
		n = len(census())
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "us/process")
}

func BenchmarkSpawn(b *testing.B) {
	r := startReaper(openOomScore())
	ended := make(chan struct{})
	for b.Loop() {
		_, err := r.spawn("/bin/true", []string{"true"}, &syscall.ProcAttr{}, func(syscall.WaitStatus) { ended <- struct{}{} })
		must(b, err)
		<-ended
	}
}

func BenchmarkRaiseOomScore(b *testing.B) {
	child := exec.Command("sleep", "60")
	must(b, child.Start())
	score := openOomScore()
	for b.Loop() {
		score.raise(child.Process.Pid)
	}
	must(b, child.Process.Kill())
	_ = child.Wait()
}

func BenchmarkDrain(b *testing.B) {
	r := testRegistry(generous())
	p := r.add("p", "c", time.Time{}, 2<<20)
	chunk := make([]byte, drainBuffer)
	b.SetBytes(drainBuffer)
	for b.Loop() {
		p.keep(&p.out, chunk)
	}
}

func BenchmarkRead(b *testing.B) {
	s, dial := pipeServer(b)
	s.registry.add("p", "c", time.Time{}, 2<<20)
	c := newClient(b, dial(b))
	c.hello(nil)
	for b.Loop() {
		c.call("read", with(at("p"), fields{"tail": 16 << 10}))
	}
}

func BenchmarkReadFile(b *testing.B) {
	d := newDisk(b)
	must(b, os.WriteFile(filepath.Join(d.root, "sub", "file"), make([]byte, 16<<10), 0o600))
	for b.Loop() {
		d.call("read_file", d.at("sub/file"))
	}
}
