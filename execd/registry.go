package main

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	markName        = "WSMCP_PROCESS"
	maxReceipts     = 1000
	defaultRunning  = 32
	defaultHead     = 64 << 10
	defaultTail     = 1 << 20
	maxKept         = 64 << 20 // bytes that one request may ask to keep
	maxName         = 256      // bytes of a chat, key or digest
	maxProcessID    = 64
	maxPath         = 4096
	maxTtySize      = 1<<16 - 1
	spawnsEndWithin = 5 * time.Second
)

// limits are the settings of a place.
type limits struct {
	keepEnded       int // ended processes of one chat
	keepEndedFor    time.Duration
	keepReceiptsFor time.Duration
	lingerGrace     time.Duration
	maxOutput       int64 // bytes of all outputs together
	idle            time.Duration
}

type chatKey struct{ chat, key string }

// registry owns all processes of a place. Its lock comes before the lock of a process; no other two are ever held
// together.
type registry struct {
	place       string
	limits      limits
	reaper      *reaper
	environment []string
	events      *events
	held        atomic.Int64 // bytes of all outputs

	mu         sync.Mutex
	byID       map[string]*process
	byKey      map[chatKey]*process
	listed     []*process     // those that were started, in the order of their numbers
	running    map[string]int // by chat, those being started included
	ended      []*process     // oldest first
	endedOf    map[string]int // how many of them a chat has
	receipts   []*process     // oldest first
	starts     int64
	starting   int
	isStopping bool
}

func newRegistry(place string, l limits, environment []string, reaper *reaper) *registry {
	return &registry{
		place: place, limits: l, reaper: reaper, environment: environment, events: &events{},
		byID: map[string]*process{}, byKey: map[chatKey]*process{}, running: map[string]int{}, endedOf: map[string]int{},
	}
}

func markOf(place, process string) string { return markName + "=" + place + "/" + process }

// find gives the process if this chat owns it.
func (r *registry) find(s subject) (*process, error) {
	r.mu.Lock()
	p := r.byID[s.Process]
	r.mu.Unlock()
	if p == nil || p.chat != s.Chat {
		return nil, fail("not_found", "this chat has no process %q here", cutText(s.Process, maxProcessID))
	}
	<-p.started
	if p.failed != nil {
		return nil, fail("not_found", "this chat has no process %q here", p.id)
	}
	return p, nil
}

// list gives views, running first, then the most recently started first, and counts before skip and limit. Under the
// lock nothing ends and nothing becomes a receipt, so what is shown is as it was counted.
func (r *registry) list(q *listRequest) (shown []processView, total, running int, err error) {
	if q.Limit < 0 || q.Skip < 0 || q.All == (q.Chat != "") || !slices.Contains([]string{"", "running", "ended"}, q.State) {
		return nil, 0, 0, fail("bad_request", "list takes chat or all, a state of running or ended, limit and skip of at least 0")
	}
	r.mu.Lock()
	found, running := r.match(q)
	total = len(found)
	page := found[min(q.Skip, total):]
	if q.Limit > 0 {
		page = page[:min(q.Limit, len(page))]
	}
	shown = make([]processView, len(page))
	for i, p := range page {
		p.mu.Lock()
		shown[i] = p.viewWithoutKin()
		p.mu.Unlock()
	}
	r.mu.Unlock()
	for i, p := range page {
		if shown[i].State == "ended" {
			shown[i].Lingering = p.alive()
		}
	}
	return shown, total, running, nil
}

// match, under the lock, gives the processes that a list is of, in its order, and how many run, whatever its state.
func (r *registry) match(q *listRequest) (found []*process, running int) {
	var ended []*process
	for _, p := range slices.Backward(r.listed) {
		if !q.All && p.chat != q.Chat || p.isReceipt && !q.Receipts {
			continue
		}
		if p.isEnded {
			ended = append(ended, p)
			continue
		}
		if running++; q.State != "ended" {
			found = append(found, p)
		}
	}
	if q.State != "running" {
		found = append(found, ended...)
	}
	return found, running
}

func isDone(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func (r *registry) lessRunning(chat string) {
	if r.running[chat]--; r.running[chat] == 0 {
		delete(r.running, chat)
	}
}

// noteStarted, under the lock, lists a process; of two starts at once the later one may be through first.
func (r *registry) noteStarted(p *process) {
	i, _ := r.indexOf(p)
	r.listed = slices.Insert(r.listed, i, p)
}

func (r *registry) indexOf(p *process) (i int, isListed bool) {
	return slices.BinarySearchFunc(r.listed, p.number, func(other *process, number int64) int {
		return cmp.Compare(other.number, number)
	})
}

func (r *registry) forget(p *process) {
	delete(r.byID, p.id)
	if i, isListed := r.indexOf(p); isListed {
		r.listed = slices.Delete(r.listed, i, i+1)
	}
	if key := (chatKey{p.chat, p.key}); r.byKey[key] == p {
		delete(r.byKey, key)
	}
}

// stop ends every process of the place; nothing is started any more.
func (r *registry) stop(grace time.Duration) toll {
	r.mu.Lock()
	r.isStopping = true
	r.mu.Unlock()
	deadline := time.Now().Add(spawnsEndWithin)
	for r.isStarting() && time.Now().Before(deadline) {
		time.Sleep(shortestPause)
	}
	h := &hunt{find: r.descendants}
	if grace > 0 {
		r.hangUp()
		return h.run(syscall.SIGTERM, grace)
	}
	return h.run(syscall.SIGKILL, 0)
}

// beginSpawn says whether something may still be started; if so, a stop waits for endSpawn.
func (r *registry) beginSpawn() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.isStopping {
		r.starting++
	}
	return !r.isStopping
}

func (r *registry) endSpawn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.starting--
}

func (r *registry) isStarting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.starting > 0
}

// hangUp tells interactive shells, which ignore TERM, that their terminals are gone.
func (r *registry) hangUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.byID {
		if p.hasTty && isDone(p.started) {
			r.reaper.signalGroup(p.pid, syscall.SIGHUP)
		}
	}
}
