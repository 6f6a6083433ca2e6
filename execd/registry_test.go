package main

import (
	"crypto/sha256"
	"encoding/json/v2"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// testRegistry has no processes of the system: its reaper reaps nobody.
func testRegistry(l limits) *registry {
	return newRegistry("unit", l, os.Environ(), &reaper{})
}

func generous() limits {
	return limits{keepEnded: 100, keepEndedFor: time.Hour, keepReceiptsFor: time.Hour, lingerGrace: time.Second, maxOutput: 64 << 20}
}

// add puts a process into a registry that ended, or runs, and wrote so many bytes.
func (r *registry) add(id, chat string, endedAt time.Time, bytes int) *process {
	r.mu.Lock()
	p := r.reserve(&startRequest{subject: subject{id, chat}, Shell: "x", Key: "key of " + id})
	r.starting--
	r.noteStarted(p)
	r.mu.Unlock()
	close(p.started)
	if bytes > 0 {
		p.keep(&p.out, make([]byte, bytes))
	}
	if !endedAt.IsZero() {
		r.mu.Lock()
		p.isEnded, p.endedAt = true, endedAt
		r.noteEnded(p)
		r.mu.Unlock()
	}
	return p
}

func TestAgeMakesReceiptsAndForgetsThem(t *testing.T) {
	r := testRegistry(limits{keepEnded: 100, keepEndedFor: 15 * time.Minute, keepReceiptsFor: 24 * time.Hour, maxOutput: 1 << 20})
	start := time.Now()
	old, young := r.add("old", "c", start, 10), r.add("young", "c", start.Add(time.Minute), 10)
	running := r.add("running", "c", time.Time{}, 10)
	r.sweep(start.Add(15 * time.Minute))
	expect(t, "at the age exactly", old.isReceipt, false)
	r.sweep(start.Add(15*time.Minute + 1))
	expect(t, "after it", [2]bool{old.isReceipt, young.isReceipt}, [2]bool{true, false})
	expect(t, "held", r.held.Load(), 2*smallest)
	r.sweep(start.Add(24 * time.Hour))
	expect(t, "a receipt is known", r.byID["old"], old)
	r.sweep(start.Add(24*time.Hour + 1))
	expect(t, "then it is not", r.byID["old"], nil)
	expect(t, "nor its key", r.byKey[chatKey{"c", "key of old"}], nil)
	r.sweep(start.Add(1000 * time.Hour))
	expect(t, "what runs stays", fmt.Sprint(len(r.byID), len(r.listed), running.isReceipt), "1 1 false")
}

func TestCountsAreOfEachChatAndOfAllReceipts(t *testing.T) {
	r := testRegistry(limits{keepEnded: 3, keepEndedFor: time.Hour, keepReceiptsFor: time.Hour, maxOutput: 1 << 20})
	start := time.Now()
	for i := range 5 {
		r.add(fmt.Sprint("a", i), "a", start, 0)
		r.add(fmt.Sprint("b", i), "b", start, 0)
	}
	r.sweep(start)
	expect(t, "ended and receipts", [2]int{len(r.ended), len(r.receipts)}, [2]int{6, 4})
	expect(t, "the oldest is a receipt", [2]bool{r.byID["a1"].isReceipt, r.byID["a2"].isReceipt}, [2]bool{true, false})
	for i := range maxReceipts + 10 {
		r.add(fmt.Sprint("c", i), "c", start, 0)
	}
	r.sweep(start)
	expect(t, "receipts", len(r.receipts), maxReceipts)
	expect(t, "the oldest receipt went first", r.byID["a0"], nil)
	expect(t, "all known", len(r.byID), len(r.ended)+len(r.receipts))
}

func TestAPartOfALongListIsCountedAndOrderedAsTheWhole(t *testing.T) {
	r := testRegistry(limits{keepEnded: 500, keepEndedFor: time.Hour, keepReceiptsFor: time.Hour, maxOutput: 1 << 20})
	var running, ended []string // newest first
	for i := range 5000 {
		id, endedAt := fmt.Sprint("p", i), time.Time{}
		if i%2 == 1 {
			endedAt = time.Now()
			ended = append([]string{id}, ended...)
		} else {
			running = append([]string{id}, running...)
		}
		r.add(id, "c", endedAt, 0)
		r.add("other"+id, "other", time.Time{}, 0)
	}
	kept, known := ended[:500], ended[:500+maxReceipts]
	for _, row := range []struct {
		q    listRequest
		want []string
	}{
		{listRequest{}, append(slices.Clone(running), kept...)},
		{listRequest{Receipts: true}, append(slices.Clone(running), known...)},
		{listRequest{State: "running"}, running}, {listRequest{State: "ended"}, kept},
		{listRequest{State: "ended", Receipts: true}, known},
	} {
		for _, part := range [][2]int{{0, 0}, {0, 20}, {2490, 20}, {2990, 20}, {9000, 20}} {
			q := row.q
			q.Chat, q.Skip, q.Limit = "c", part[0], part[1]
			shown, total, alive, err := r.list(&q)
			must(t, err)
			want := row.want[min(q.Skip, len(row.want)):]
			if q.Limit > 0 {
				want = want[:min(q.Limit, len(want))]
			}
			name := fmt.Sprint(q.State, q.Receipts, part)
			expect(t, name, slices.Equal(idsOf(shown), want), true)
			expect(t, name+" counted", [2]int{total, alive}, [2]int{len(row.want), len(running)})
		}
	}
	_, total, alive, err := r.list(&listRequest{All: true, Limit: 1})
	must(t, err)
	expect(t, "of all", [2]int{total, alive}, [2]int{7500 + 500, 7500})
}

func idsOf(views []processView) (ids []string) {
	for _, v := range views {
		ids = append(ids, v.Process)
	}
	return ids
}

func TestTheLaterStartIsTheNewerOneWhicheverIsThroughFirst(t *testing.T) {
	r := testRegistry(generous())
	r.mu.Lock()
	first := r.reserve(&startRequest{subject: subject{"first", "c"}, Shell: "x"})
	second := r.reserve(&startRequest{subject: subject{"second", "c"}, Shell: "x"})
	failed := r.reserve(&startRequest{subject: subject{"failed", "c"}, Shell: "x"})
	r.noteStarted(second)
	r.forget(failed)
	r.mu.Unlock()
	shown, _, _, err := r.list(&listRequest{Chat: "c"})
	must(t, err)
	expect(t, "one that is being started is not listed", fmt.Sprint(idsOf(shown)), "[second]")
	r.mu.Lock()
	r.noteStarted(first)
	r.mu.Unlock()
	shown, _, _, err = r.list(&listRequest{Chat: "c"})
	must(t, err)
	expect(t, "newest first", fmt.Sprint(idsOf(shown)), "[second first]")
}

func TestAListIsAsItWasCountedWhileProcessesEnd(t *testing.T) {
	r := testRegistry(generous())
	var all []*process
	for i := range 1000 {
		all = append(all, r.add(fmt.Sprint("p", i), "c", time.Time{}, 0))
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		for _, p := range all {
			r.mu.Lock()
			p.mu.Lock()
			p.isEnded, p.endedAt = true, time.Now()
			p.mu.Unlock()
			r.noteEnded(p)
			r.mu.Unlock()
		}
	}()
	for running := len(all); running > 0; {
		shown, total, alive, err := r.list(&listRequest{Chat: "c", Receipts: true})
		must(t, err)
		expect(t, "all", [2]int{len(shown), total}, [2]int{1000, 1000})
		isOver := slices.IndexFunc(shown, func(v processView) bool { return v.State == "ended" })
		if isOver < 0 {
			isOver = len(shown)
		}
		expect(t, "those that run come first", isOver, alive)
		running = alive
	}
	<-over
}

func TestAllOutputsTogetherHaveALimit(t *testing.T) {
	l := generous()
	l.maxOutput = 2 << 20
	r := testRegistry(l)
	first := r.add("first", "c", time.Now(), 1<<20)
	second := r.add("second", "c", time.Now(), 512<<10)
	third := r.add("third", "c", time.Time{}, 1<<20)
	if first.out.span().TailStart != 1<<20 || first.out.span().HeadEnd != defaultHead {
		t.Fatalf("the oldest ended process keeps its head only: %+v", first.out.span())
	}
	expect(t, "the next keeps all", second.out.span().TailStart, second.out.span().HeadEnd)
	for i := range 40 {
		r.add(fmt.Sprint("more", i), "c", time.Time{}, 200<<10)
	}
	if held := r.held.Load(); held > l.maxOutput+41*leastTail {
		t.Fatalf("%d bytes are held", held)
	}
	if second.out.size() != 0 || len(third.out.ring) >= 1<<20 {
		t.Fatalf("ended processes give first, then the largest: %d, %d", second.out.size(), len(third.out.ring))
	}
	expect(t, "what it said last is kept", len(second.last) > 0, true)
	newest := r.byID["more39"].out.span()
	if newest.End != 200<<10 || newest.End-newest.TailStart < leastTail {
		t.Fatalf("the newest keeps at least its last bytes: %+v", newest)
	}
}

func TestLongArgumentsAreCutForShowing(t *testing.T) {
	argv := cutArgv([]string{"echo", strings.Repeat("é", 4000), "more"})
	expect(t, "arguments", len(argv), 2)
	if len(argv[1]) > shownBytes || !strings.HasSuffix(argv[1], "é…") {
		t.Fatalf("%d bytes: …%q", len(argv[1]), argv[1][len(argv[1])-10:])
	}
	expect(t, "short ones", fmt.Sprint(cutArgv([]string{"a", "b"})), "[a b]")
}

func TestTheLastTextBeginsWithAWholeCharacter(t *testing.T) {
	expect(t, "text", textOf([]byte("\xbc\x9fok")), "ok")
	expect(t, "text", textOf([]byte("ü\xff")), "ü\uFFFD")
	expect(t, "text", textOf([]byte("\x80\x80\x80\x80")), "\uFFFD")
	expect(t, "nothing", textOf(nil), "")
}

// pipeServer is a server in this process, for what needs no processes.
func pipeServer(t testing.TB, prepare ...func(*server)) (*server, func(testing.TB) net.Conn) {
	s := newServer(testRegistry(generous()), sha256.Sum256([]byte(testSecret)))
	s.registry.limits.idle = time.Minute
	s.registry.isStopping = true // it starts nothing
	for _, change := range prepare {
		change(s)
	}
	dir, err := os.MkdirTemp("", "x")
	must(t, err)
	must(t, s.listen(filepath.Join(dir, "d")))
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.run()
	}()
	t.Cleanup(func() {
		s.exitSoon()
		<-over
		os.RemoveAll(dir)
	})
	return s, func(t testing.TB) net.Conn {
		stream, err := connect(filepath.Join(dir, "d", "sock"), soon)
		must(t, err)
		return stream
	}
}

func TestAClientThatDoesNotReadHoldsUpNobody(t *testing.T) {
	s, dial := pipeServer(t)
	p := s.registry.add("big", "c", time.Time{}, 1<<20)
	deaf := dial(t)
	defer deaf.Close()
	send := func(f fields) {
		text, err := json.Marshal(f)
		must(t, err)
		frame, err := encodeFrame(text, nil)
		must(t, err)
		_, err = deaf.Write(frame)
		must(t, err)
	}
	send(fields{"id": 1, "op": "hello", "protocol": 1, "secret": testSecret, "events": true})
	_, _, err := readFrame(deaf, maxFrame) // it is served by now
	must(t, err)
	for i := range 30 { // 30 MiB of answers
		send(fields{"id": i + 2, "op": "read", "process": "big", "chat": "c", "limit": 1 << 20})
	}
	c := newClient(t, dial(t))
	c.hello(nil)
	for range 3000 { // more than any queue takes
		s.registry.events.emit(event{Event: "grew", Process: "big", Chat: "c"})
	}
	p.keep(&p.out, []byte("x"))
	expect(t, "another client", len(c.call("read", with(at("big"), fields{"limit": 1 << 20})).body), 1<<20)
	// Once it reads it has every answer, and is told that it missed events.
	answers, isToldToList := 0, false
	must(t, deaf.SetReadDeadline(time.Now().Add(soon)))
	for answers < 30 || !isToldToList {
		header, _, err := readFrame(deaf, maxFrame)
		must(t, err)
		var f fields
		must(t, json.Unmarshal(header, &f))
		if f["event"] == nil {
			answers++
		}
		isToldToList = isToldToList || f["event"] == "relist"
	}
}

func TestAListThatDoesNotFitIsReadInParts(t *testing.T) {
	s, dial := pipeServer(t)
	for i := range 2000 {
		p := s.registry.add(fmt.Sprint("p", i), fmt.Sprint("c", i%40), time.Time{}, 0)
		p.argv, p.shell = []string{"sh", "-c", strings.Repeat("\x01", 1000)}, strings.Repeat("x", 1000)
	}
	c := newClient(t, dial(t))
	c.hello(nil)
	known := map[any]bool{}
	for len(known) < 2000 {
		r := c.call("list", fields{"all": true, "skip": len(known)})
		expect(t, "total", r.number("total"), 2000)
		for _, v := range r.fields["processes"].([]any) {
			known[v.(map[string]any)["process"]] = true
		}
	}
}

func TestAConnectionHasALimitOfOpenRequests(t *testing.T) {
	s, dial := pipeServer(t)
	s.registry.add("p", "c", time.Time{}, 1)
	c := newClient(t, dial(t))
	c.hello(nil)
	var ids []int64
	for range maxOpen {
		ids = append(ids, c.send("read", with(at("p"), fields{"wait": fields{"until": "exit", "timeout_ms": 100000}})))
	}
	c.fails("limit", "ping", nil)
	c.call("cancel", fields{"target": ids[0]})
	expect(t, "woke", c.wait(ids[0]).fields["woke"], any("timeout"))
	c.call("ping", nil)
}

func FuzzRequest(f *testing.F) {
	for _, g := range goldenFrames(f) {
		if g.Error == "" {
			f.Add([]byte(g.Header), []byte("body"))
		}
	}
	s, dial := pipeServer(f)
	s.registry.add("p_7k3m9x2q", "c_1", time.Time{}, 100)
	f.Fuzz(func(t *testing.T, header, body []byte) {
		stream := dial(t)
		defer stream.Close()
		c := newClient(t, stream)
		c.hello(nil)
		var e envelope
		_ = json.Unmarshal(header, &e)
		if e.Op == "signal" || e.Op == "stop" || len(header)+len(body) > maxFrame/2 {
			return // there is nothing here to signal
		}
		frame, err := encodeFrame(header, body)
		must(t, err)
		_, _ = stream.Write(frame)
		must(t, stream.(*net.UnixConn).CloseWrite())
	})
}
