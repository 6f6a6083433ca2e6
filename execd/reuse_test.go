//go:build linux

package main

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	reuseSteps   = 100_000 // REUSE_STEPS says another number; `make fuzz` a million
	numbers      = 400     // pids of the simulated system: they come round again and again
	stepsPerTick = 20      // fewer than there are numbers, as everywhere: they do not come round within a tick
	mostTracked  = 100
	mostTasks    = 150
)

// task is a process of a simulated system. family is the truth that execd does not see: the number of the start that
// it descends from, or 0 of a stranger.
type task struct {
	member
	family int
	mark   string // in its environment
}

// tracked is a process that execd started, as execd knows it.
type tracked struct {
	kin
	family int
}

// hunted is who execd found, until it gets to signal them.
type hunted struct {
	target  *tracked
	members []member
}

// system is a kernel with few numbers, and execd in it. What is decided in it is decided by the real code.
type system struct {
	t        *testing.T
	chance   *rand.Rand
	tasks    [numbers + 1]*task // by pid
	count    int
	last     int // the number given out last: they are given out in turn
	step     int
	families int
	children map[int]*tracked // not reaped yet
	known    []*tracked
	hunts    []hunted
	own      int // signals that reached one of the family
	foreign  int
	late     int // of those signals that found nobody, or another process with that number
	reused   int
}

const (
	initPid = 1
	execd   = 2
)

func newSystem(t *testing.T, seed uint64) *system {
	s := &system{t: t, chance: rand.New(rand.NewPCG(seed, 37)), last: execd, children: map[int]*tracked{}}
	s.tasks[initPid] = &task{member: member{pid: initPid, group: initPid, session: initPid, state: 'S'}}
	s.tasks[execd] = &task{member: member{pid: execd, parent: initPid, group: execd, session: execd, state: 'S'}}
	return s
}

func (s *system) now() uint64 { return uint64(s.step / stepsPerTick) }

// number is the next that no process, group or session has: the kernel keeps it as long as one of them does.
func (s *system) number() int {
	var taken [numbers + 1]bool
	for _, each := range s.tasks {
		if each != nil {
			taken[each.pid], taken[each.group], taken[each.session] = true, true, true
		}
	}
	for {
		if s.last++; s.last > numbers {
			s.last = execd + 1
			s.reused++
		}
		if !taken[s.last] {
			return s.last
		}
	}
}

func (s *system) fork(parent *task) *task {
	child := *parent
	child.pid, child.parent, child.start, child.state = s.number(), parent.pid, s.now(), 'S'
	s.tasks[child.pid] = &child
	s.count++
	return &child
}

// any is a living process that is not execd or init.
func (s *system) any() *task {
	for range 20 {
		if found := s.tasks[execd+1+s.chance.IntN(numbers-execd)]; found != nil && !found.isDead() {
			return found
		}
	}
	return nil
}

func (s *system) startTracked() {
	s.families++
	began := s.now()
	leader := s.fork(s.tasks[execd])
	leader.group, leader.session, leader.family = leader.pid, leader.pid, s.families
	leader.mark = "WSMCP_PROCESS=place/" + strconv.Itoa(s.families) + ";"
	made := &tracked{kin: kin{pid: leader.pid, start: began, mark: leader.mark}, family: s.families}
	s.children[leader.pid] = made
	if s.known = append(s.known, made); len(s.known) > mostTracked {
		s.known = s.known[1:]
	}
}

func (s *system) startStranger() {
	stranger := s.fork(s.tasks[initPid])
	stranger.group, stranger.session = stranger.pid, stranger.pid
}

// exit leaves a zombie; its children go to the subreaper above, execd for those below it.
func (s *system) exit(one *task) {
	one.state = 'Z'
	heir := initPid
	if one.family != 0 {
		heir = execd
	}
	for _, each := range s.tasks {
		if each != nil && each.parent == one.pid {
			each.parent = heir
		}
	}
}

func (s *system) reap() {
	for pid, each := range s.tasks {
		if each == nil || !each.isDead() || s.chance.IntN(3) > 0 {
			continue
		}
		s.tasks[pid] = nil
		s.count--
		if child := s.children[pid]; child != nil {
			delete(s.children, pid)
			child.isReaped, child.end = true, s.now()
		}
	}
}

func (s *system) census() (all []member) {
	for _, each := range s.tasks {
		if each != nil && !each.isDead() {
			all = append(all, each.member)
		}
	}
	return all
}

// look finds a family, also of a process that ended long ago. Between the census and the decision others go on.
func (s *system) look() {
	if len(s.known) == 0 {
		return
	}
	target := s.known[s.chance.IntN(len(s.known))]
	if s.chance.IntN(2) == 0 { // one that may still live
		target = s.known[len(s.known)-1-s.chance.IntN(min(8, len(s.known)))]
	}
	all := s.census()
	for range s.chance.IntN(4) {
		s.live()
	}
	owns := func(pid int) bool { return s.children[pid] != nil }
	holds := func(m member, mark string) bool {
		now := s.tasks[m.pid] // read by its number, as /proc is: another one may have it
		return now != nil && !now.isDead() && now.mark == mark
	}
	found := target.among(all, execd, owns, holds)
	slices.SortFunc(found, func(a, b member) int { return a.pid - b.pid })
	s.hunts = append(s.hunts, hunted{target, found})
}

// blow signals those that a look found, however long ago that was.
func (s *system) blow() {
	if len(s.hunts) == 0 {
		return
	}
	at := s.chance.IntN(len(s.hunts))
	hunt := s.hunts[at]
	s.hunts = append(s.hunts[:at], s.hunts[at+1:]...)
	if s.chance.IntN(2) == 0 && !hunt.target.isReaped && s.children[hunt.target.pid] != nil { // as process.strikeGroup
		for _, each := range s.tasks {
			if each != nil && each.group == hunt.target.pid && !each.isDead() {
				s.strike(each, hunt.target.family)
			}
		}
	}
	for _, m := range hunt.members {
		now := s.tasks[m.pid]
		if now == nil || !m.isStill(now.member) {
			s.late++
			continue
		}
		s.strike(now, hunt.target.family)
	}
}

func (s *system) strike(one *task, family int) {
	if one.family != family || one.pid <= execd {
		s.foreign++
		s.t.Errorf("step %d: a signal for %d reached %+v", s.step, family, *one)
		return
	}
	s.own++
	if s.chance.IntN(3) > 0 {
		s.exit(one)
	}
}

// live lets one thing happen that is not execd's doing.
func (s *system) live() {
	s.step++
	one := s.any()
	switch what := s.chance.IntN(100); {
	case one == nil || what < 4:
		s.startStranger()
	case what < 45 && s.count < mostTasks:
		s.fork(one)
	case what < 50 && one.group != one.pid:
		one.group, one.session = one.pid, one.pid
	case what < 55 && one.session != one.pid:
		one.group = one.pid
	case what < 58:
		one.mark = "" // a program with a clean environment
	case what < 84:
		s.exit(one)
	default:
		s.reap()
	}
}

func TestAnEndedProcessIsNoNameForTheGroupOfTheNextChildWithItsNumber(t *testing.T) {
	other := exec.Command("sleep", "600")
	other.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(t, other.Start())
	r := testRegistry(generous())
	p := r.add("p_ended", "c", time.Now(), 0)
	p.pid, p.isReaped = other.Process.Pid, true
	p.registry.reaper.children = map[int]func(syscall.WaitStatus){p.pid: nil}
	_, err := p.signal(syscall.SIGTERM, 0)
	if err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Fatal(err)
	}
	must(t, other.Process.Signal(syscall.SIGINT)) // the first that it gets
	_ = other.Wait()
	expect(t, "ended by", other.ProcessState.Sys().(syscall.WaitStatus).Signal(), syscall.SIGINT)
}

func TestNoSignalReachesAnotherProcessHoweverNumbersAreReused(t *testing.T) {
	steps := reuseSteps
	if said := os.Getenv("REUSE_STEPS"); said != "" {
		steps, _ = strconv.Atoi(said)
	}
	s := newSystem(t, 37)
	for s.step < steps && s.foreign < 10 {
		switch what := s.chance.IntN(100); {
		case what < 3:
			s.startTracked()
		case what < 6:
			s.look()
		case what < 9:
			s.blow()
		}
		s.live()
	}
	if s.own < steps/250 || s.late < steps/500 || s.reused < steps/numbers/5 {
		t.Fatalf("nothing is proved by %+v of %d steps", [3]int{s.own, s.late, s.reused}, steps)
	}
	t.Logf("%d steps: %d signals, %d too late, numbers came round %d times", s.step, s.own, s.late, s.reused)
}
