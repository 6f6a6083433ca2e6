package main

import (
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	grewEvery   = 50 * time.Millisecond
	lastBytes   = 1024     // of output that a receipt keeps
	shownBytes  = 1024     // of argv and of shell that are kept for showing
	drainBuffer = 64 << 10 // a default pipe holds as much
	widePipe    = 1 << 20  // the system's limit for users without privileges

	// A flood rests now and then: its writer and execd together would use up the container's CPU quota, and the kernel
	// would then stop the whole place, every other request with it, for half of each tenth of a second.
	restAfter = 4 << 20
	restFor   = 2 * time.Millisecond

	inputTimeout = 5 * time.Second
	endOfInput   = 0x04 // EOT
)

// buffers are taken only while there is something to read, so that processes that are silent hold none.
var buffers = sync.Pool{New: func() any { return new([drainBuffer]byte) }}

// process is one process from its start until it is forgotten.
type process struct {
	registry         *registry
	id, chat         string
	key, digest      string
	argv             []string // for showing
	shell, cwd, user string
	hasTty, hasStdin bool
	isSeparate       bool
	number           int64         // starts are numbered
	started          chan struct{} // closed when the start succeeded or failed
	failed           error         // why it failed
	over             chan struct{} // closed when it ended
	drained          chan struct{} // closed when all its output was read
	pid              int
	startTicks       uint64
	startedAt        time.Time
	limit            *time.Timer
	ours             streams
	input            *os.File // nil without stdin; with a tty the same file as its output

	mu        sync.Mutex
	out, err  output
	open      int // streams that were not read to their end
	isReaped  bool
	status    syscall.WaitStatus
	endTicks  uint64
	endedAt   time.Time
	isEnded   bool
	isReceipt bool
	reason    string
	last      string
	lingering []member
	lastGrew  time.Time
	lastErr   bool // the last output was on stderr
	grewTimer bool
	readers   map[chan struct{}]bool // woken by output

	isInputClosed bool
	inputTurn     chan struct{} // closed when the last write that was let in is over
	hasOpenLine   bool          // the last input byte was no newline
}

func (p *process) mark() string { return markOf(p.registry.place, p.id) }

func (p *process) kin() kin {
	p.mu.Lock()
	defer p.mu.Unlock()
	return kin{p.pid, p.startTicks, p.endTicks, p.isReaped, p.mark()}
}

func (p *process) hasEnded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.isEnded
}

// drain reads one stream to its end. It never waits for anybody but the process.
func (p *process) drain(o *output, file *os.File) {
	raw, err := file.SyscallConn()
	isWide := p.hasTty
	flood := 0 // bytes since the pipe was last found empty, or since the last rest
	for err == nil {
		if flood >= restAfter {
			time.Sleep(restFor)
			flood = 0
		}
		n := 0
		var readErr error
		err = raw.Read(func(fd uintptr) bool {
			buffer := buffers.Get().(*[drainBuffer]byte)
			defer buffers.Put(buffer)
			for {
				n, readErr = syscall.Read(int(fd), buffer[:])
				if readErr != syscall.EINTR {
					break
				}
			}
			if n == drainBuffer && !isWide {
				// Only for a flood: the system grants each user a limited sum of wide pipes.
				widenPipe(fd, widePipe)
				isWide = true
			}
			if n > 0 {
				p.keep(o, buffer[:n])
				flood += n
			} else {
				flood = 0
			}
			return readErr != syscall.EAGAIN
		})
		if err == nil {
			err = readErr
		}
		if n <= 0 && err == nil {
			err = io.EOF
		}
	}
	file.Close()
	p.closeStream(o)
}

func (p *process) keep(o *output, b []byte) {
	p.mu.Lock()
	head, ring := o.wants(len(b))
	if growth := head + ring - o.size(); growth > 0 {
		p.mu.Unlock()
		isGranted := p.registry.makeRoom(growth)
		p.mu.Lock()
		if head, ring = o.wants(len(b)); !isGranted {
			head, ring = cap(o.head), max(len(o.ring), min(leastTail, o.tailMax))
		}
		before := o.size()
		o.resize(head, ring)
		p.registry.held.Add(int64(o.size() - before))
	}
	o.write(b)
	o.writtenAt, p.lastErr = time.Now(), o == &p.err
	p.wakeReaders()
	p.tellGrowth()
	p.mu.Unlock()
}

func (p *process) wakeReaders() {
	for reader := range p.readers {
		select {
		case reader <- struct{}{}:
		default:
		}
	}
}

// tellGrowth says "look now", at once or when the last time was long enough ago.
func (p *process) tellGrowth() {
	if p.grewTimer || !p.registry.events.isWanted() {
		return
	}
	if since := time.Since(p.lastGrew); since < grewEvery {
		p.grewTimer = true
		time.AfterFunc(grewEvery-since, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.grewTimer = false
			p.sayGrew()
		})
		return
	}
	p.sayGrew()
}

func (p *process) sayGrew() {
	p.lastGrew = time.Now()
	p.registry.events.emit(event{Event: "grew", Process: p.id, Chat: p.chat, End: p.out.end})
}

func (p *process) closeStream(o *output) {
	p.mu.Lock()
	o.isFinal = true
	p.open--
	isLast := p.open == 0
	isOver := isLast && p.isReaped
	isLate := isLast && p.isEnded
	if isLast {
		close(p.drained)
	}
	if isLate {
		p.sayGrew() // its output is final now
	}
	p.mu.Unlock()
	if isOver && !isLate {
		p.finish()
	}
}

// leaderEnded is called when the main child was reaped.
func (p *process) leaderEnded(status syscall.WaitStatus) {
	<-p.started
	p.mu.Lock()
	p.isReaped, p.status = true, status
	p.endTicks, p.endedAt = ticksNow(), time.Now()
	if p.limit != nil {
		p.limit.Stop()
	}
	isOver := p.open == 0
	p.mu.Unlock()
	if isOver {
		go p.finish() // the reaper has others to see to
	} else {
		time.AfterFunc(p.registry.limits.lingerGrace, p.finish)
	}
}

// finish makes the process ended: its main child was reaped, and its output was read or the grace is over.
func (p *process) finish() {
	if p.hasEnded() {
		return
	}
	lingering := p.findLingering()
	r := p.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	p.mu.Lock()
	if p.isEnded {
		p.mu.Unlock()
		return
	}
	p.isEnded, p.lingering = true, lingering
	p.closeInput()
	view := p.viewLocked()
	close(p.over)
	p.mu.Unlock()
	r.noteEnded(p)
	r.events.emit(event{Event: "ended", Process: view})
}

// findLingering looks at the whole system only where a cheap sign says that somebody is left.
func (p *process) findLingering() []member {
	p.mu.Lock()
	isHeld := p.open > 0
	p.mu.Unlock()
	if isHeld || syscall.Kill(-p.pid, 0) != syscall.ESRCH || p.registry.hasAdopted(p.mark()) {
		return p.registry.family(p)
	}
	return nil
}

// becomeReceipt gives up the output except for its last bytes.
func (p *process) becomeReceipt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keepLast()
	p.isReceipt = true
	p.shrinkTo(func(o *output) { o.drop(true) })
}

// keepLast remembers the end of the output before it is dropped.
func (p *process) keepLast() {
	o := &p.out
	if p.lastErr {
		o = &p.err
	}
	if start := o.lastWindow(lastBytes); start < o.end {
		p.last = textOf(o.appendTo(nil, start, o.end))
	}
}

// shrinkTo applies a change that frees memory and books it.
func (p *process) shrinkTo(change func(*output)) (freed int) {
	before := p.out.size() + p.err.size()
	change(&p.out)
	change(&p.err)
	freed = before - p.out.size() - p.err.size()
	p.registry.held.Add(int64(-freed))
	return freed
}
