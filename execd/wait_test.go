package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestOutputWakesAReaderAndItsEndToo(t *testing.T) {
	c := newPlace(t).client()
	process := c.start("", fields{"argv": []string{"cat"}, "stdin": true})
	first := c.send("read", with(at(process), fields{"wait": fields{"until": "output", "timeout_ms": 9000}}))
	second := c.send("read", with(at(process), fields{"offset": 0, "wait": fields{"until": "output", "timeout_ms": 9000}}))
	exit := c.send("read", with(at(process), fields{"wait": fields{"until": "exit", "timeout_ms": 9000}}))
	c.call("write", at(process), 'x')
	for _, id := range []int64{first, second} {
		r := c.wait(id)
		expect(t, "woke", r.fields["woke"], any("output"))
		expect(t, "output", string(r.body), "x")
	}
	after := c.send("read", with(at(process), fields{"offset": 1, "wait": fields{"until": "output", "timeout_ms": 9000}}))
	c.call("write", with(at(process), fields{"close": true}))
	for _, id := range []int64{after, exit} {
		expect(t, "woke", c.wait(id).fields["woke"], any("exit"))
	}
	expect(t, "woke later", c.read(process, "output", fields{"offset": 1}).fields["woke"], any("exit"))
	expect(t, "woke later", c.read(process, "output", nil).fields["woke"], any("output"))
}

func TestAWaitEndsWithItsTimeOrWhenItIsCancelled(t *testing.T) {
	c := newPlace(t).client()
	process := c.start("sleep 600", nil)
	r := c.read(process, "exit", fields{"timeout_ms": 1})
	expect(t, "woke", r.fields["woke"], any("timeout"))
	expect(t, "state", r.view()["state"], any("running"))
	for _, until := range []string{"exit", "output", "pattern", "idle"} {
		wait := fields{"until": until, "pattern": "x", "idle_ms": 1 << 40, "timeout_ms": 1 << 40}
		id := c.send("read", with(at(process), fields{"wait": wait}))
		c.call("cancel", fields{"target": id})
		expect(t, "woke", c.wait(id).fields["woke"], any("timeout"))
	}
	c.call("cancel", fields{"target": 12345})
	for _, wait := range []fields{{"until": "x"}, {}, {"until": "exit", "timeout_ms": -1}, {"until": "idle", "idle_ms": -1}} {
		c.fails("bad_request", "read", with(at(process), fields{"wait": wait}))
	}
	for _, pattern := range []string{"(", strings.Repeat("x", maxPattern+1), "(((a{100}){100}){100})"} {
		c.fails("bad_pattern", "read", with(at(process), fields{"wait": fields{"until": "pattern", "pattern": pattern}}))
	}
	for _, more := range []fields{{"limit": 0}, {"limit": maxWindow + 1}, {"tail": -1}, {"offset": 0, "tail": 1}, {"stream": "x"}} {
		c.fails("bad_request", "read", with(at(process), more))
	}
	c.fails("bad_offset", "read", with(at(process), fields{"offset": -1}))
}

func TestAPatternIsFoundAtOrAfterTheOffset(t *testing.T) {
	c := newPlace(t).client()
	process := c.start("", fields{"argv": []string{"cat"}, "stdin": true})
	c.call("write", at(process), []byte("ready one\n")...)
	r := c.read(process, "pattern", fields{"pattern": "^ready (one|two)$"})
	expect(t, "match", fmt.Sprint(r.fields["match"]), "map[end:9 start:0]")
	expect(t, "window", string(r.body), "ready one\n")
	id := c.send("read", with(at(process), fields{"offset": 10, "wait": fields{"until": "pattern", "pattern": "^ready", "timeout_ms": 9000}}))
	c.call("write", at(process), []byte("not yet\nrea")...)
	c.call("write", at(process), []byte("dy two\n")...)
	r = c.wait(id)
	expect(t, "match", fmt.Sprint(r.fields["match"]), "map[end:23 start:18]")
	// A prompt has no newline after it.
	c.call("write", at(process), []byte("$ ")...)
	expect(t, "prompt", c.read(process, "pattern", fields{"pattern": `\$ $`}).fields["woke"], any("pattern"))
	c.call("write", with(at(process), fields{"close": true}))
	expect(t, "never", c.read(process, "pattern", fields{"pattern": "three"}).fields["woke"], any("exit"))
}

func TestIdleCountsFromTheRequestAndFromTheLastOutput(t *testing.T) {
	c := newPlace(t).client()
	process := c.start("sleep 600", nil)
	began := time.Now()
	r := c.read(process, "idle", fields{"idle_ms": 30})
	expect(t, "woke", r.fields["woke"], any("idle"))
	if took := time.Since(began); took < 30*time.Millisecond {
		t.Fatalf("after %s", took)
	}
	busy := c.start("while :; do echo x; done", nil)
	expect(t, "busy", c.read(busy, "idle", fields{"idle_ms": 5000, "timeout_ms": 100}).fields["woke"], any("timeout"))
	expect(t, "ended", c.read(c.start("true", nil), "idle", fields{"idle_ms": 9000}).fields["woke"], any("exit"))
}

func TestAPatternWaitGivesWayToAFlood(t *testing.T) {
	c := newPlace(t).client()
	process := c.start("head -c 100000000 /dev/zero; echo; echo done; sleep 600", nil)
	r := c.read(process, "pattern", fields{"pattern": "^done$|never.*(a|b)+c", "timeout_ms": 60000})
	expect(t, "woke", r.fields["woke"], any("pattern"))
	expect(t, "end", numberOf(r.view()["out"].(map[string]any), "end"), 100000006)
}

// scanned lets a wait look at a stream that arrives in chunks.
func scanned(pattern string, chunks [][]byte, head, tail int) *matchView {
	p := &process{over: make(chan struct{}), out: output{headMax: head, tailMax: tail}}
	w, err := newWait(&waitSpec{Until: "pattern", Pattern: pattern}, p, &p.out)
	if err != nil {
		panic(err)
	}
	for _, chunk := range chunks {
		p.out.resize(p.out.wants(len(chunk)))
		p.out.write(chunk)
		for {
			isMet, pause := w.look()
			if isMet {
				return w.match
			}
			if pause < 0 {
				break
			}
		}
	}
	return nil
}

func TestAPatternIsFoundWhereverTheChunksAreCut(t *testing.T) {
	pattern := `^line (\d+): needle$`
	for seed := range uint64(60) {
		chance := rand.New(rand.NewPCG(seed, 3))
		var all []byte
		for i := range 2000 + chance.IntN(20000) {
			all = fmt.Appendf(all, "line %d: %s\n", i, strings.Repeat("hay ", chance.IntN(8)))
		}
		all = append(all, "xline 1: needle\nline 77: needle\n"...)
		for range chance.IntN(9000) {
			all = append(all, "more hay, and a line 1: needle in it\n"...)
		}
		var chunks [][]byte
		for rest := all; len(rest) > 0; {
			n := min(1+chance.IntN([]int{100, 10000, 500000}[chance.IntN(3)]), len(rest))
			chunks = append(chunks, rest[:n])
			rest = rest[n:]
		}
		at := regexp.MustCompile("(?m)" + pattern).FindIndex(all)
		match := scanned(pattern, chunks, 65536, 1<<24)
		if match == nil || match.Start != int64(at[0]) || match.End != int64(at[1]) {
			t.Fatalf("seed %d: %v, not %v", seed, match, at)
		}
	}
}

func TestAPatternIsNotMatchedAcrossWhatWasDropped(t *testing.T) {
	text := append(bytes.Repeat([]byte("a"), 100), bytes.Repeat([]byte("b"), 100)...)
	if match := scanned("^a+b+$", [][]byte{text}, 50, 50); match != nil {
		t.Fatal(match)
	}
	match := scanned("b+", [][]byte{text}, 50, 50)
	expect(t, "match", *match, matchView{150, 200})
	if match := scanned("a$", [][]byte{bytes.Repeat([]byte("a"), scanBytes), []byte("b\n")}, 1<<20, 1<<20); match == nil || match.End != scanBytes {
		t.Fatalf("at the end of now: %v", match)
	}
	if match := scanned("a$", [][]byte{append(bytes.Repeat([]byte("a"), scanBytes), 'b')}, 1<<20, 1<<20); match != nil {
		t.Fatalf("an end that only a look has: %v", match)
	}
}
