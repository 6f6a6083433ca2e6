package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	protocolVersion = 1
	maxConnections  = 256
	maxSocketPath   = 100 // sun_path has 104 bytes on darwin, 108 on linux
	maxGrace        = 10 * time.Minute
)

// server listens for clients of one place.
type server struct {
	registry  *registry
	verifier  [sha256.Size]byte
	boot      string
	startedAt time.Time
	peerOf    func(*net.UnixConn) (uid int, isKnown bool)
	main      *mainCommand
	listener  *net.UnixListener
	lock      *os.File
	exit      chan struct{}
	exitOnce  sync.Once
	fileWork  chan struct{} // full when maxFileWork file requests are under way

	mu          sync.Mutex
	connections map[*net.UnixConn]bool
}

func newServer(r *registry, verifier [sha256.Size]byte) *server {
	return &server{
		registry: r, verifier: verifier, boot: fmt.Sprintf("%016x", rand.Uint64()), startedAt: time.Now(), peerOf: peerOf,
		exit: make(chan struct{}), connections: map[*net.UnixConn]bool{},
		fileWork: make(chan struct{}, maxFileWork),
	}
}

type alreadyRunning struct{ dir string }

func (a alreadyRunning) Error() string { return "already running in " + a.dir }

// listen takes dir for this execd. Whoever holds its lock file is alive, so a socket without one is stale.
func (s *server) listen(dir string) error {
	path := filepath.Join(dir, "sock")
	if len(path) > maxSocketPath {
		return fmt.Errorf("the socket path %s has more than %d bytes", path, maxSocketPath)
	}
	if err := ownDirectory(dir); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if err == syscall.EWOULDBLOCK {
			return alreadyRunning{dir}
		}
		return fmt.Errorf("lock %s: %w", dir, err)
	}
	s.lock = lock
	_ = os.Remove(path)
	s.listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: path})
	return err
}

// ownDirectory makes dir, or makes sure that nobody else can reach what is in it.
func ownDirectory(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	owner, isKnown := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is no directory (a link is not followed)", dir)
	case !isKnown || int(owner.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user", dir)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s is open to other users (mode %o, needs 700)", dir, info.Mode().Perm())
	}
	return nil
}

// serve accepts clients until the listener is closed.
func (s *server) serve() {
	for {
		stream, err := s.listener.AcceptUnix()
		if err != nil {
			if isDone(s.exit) {
				return
			}
			time.Sleep(10 * time.Millisecond) // out of descriptors: some will be free again
			continue
		}
		if uid, isKnown := s.peerOf(stream); isKnown && uid != os.Geteuid() && uid != 0 || !s.admit(stream) {
			stream.Close()
			continue
		}
		go func() {
			s.newConn(stream).serve()
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.connections, stream)
		}()
	}
}

func (s *server) admit(stream *net.UnixConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.connections) >= maxConnections || isDone(s.exit) {
		return false
	}
	s.connections[stream] = true
	return true
}

func (s *server) connected() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.connections)
}

// sweep makes receipts of what is old, in time for whatever ages are set, and gives back memory after use.
func (s *server) sweep() {
	l := s.registry.limits
	every := min(max(min(l.keepEndedFor, l.keepReceiptsFor)/4, 10*time.Millisecond), 5*time.Second)
	seen := int64(-1)
	for range time.Tick(every) {
		if starts := s.registry.sweep(time.Now()); starts != seen && every >= time.Second {
			seen = starts
			debug.FreeOSMemory()
		}
	}
}

// exitSoon lets run return once the answers of now are on their way.
func (s *server) exitSoon() {
	s.exitOnce.Do(func() { close(s.exit) })
}

// run serves until it is told to exit.
func (s *server) run() {
	go s.sweep()
	go s.serve()
	<-s.exit
	s.listener.Close()
	s.mu.Lock()
	for stream := range s.connections {
		_ = stream.CloseRead() // it answers what is open, then ends
	}
	s.mu.Unlock()
	for deadline := time.Now().Add(2 * lastWords); s.connected() > 0 && time.Now().Before(deadline); {
		time.Sleep(shortestPause)
	}
}

// hello serves the first request of a connection.
func (c *conn) hello(header jsontext.Value) bool {
	var e envelope
	_ = json.Unmarshal(header, &e)
	s := c.server
	var q helloRequest
	var err error
	if e.Op != "hello" {
		err = fail("unauthorized", "say hello first")
	} else if err = decode(header, &q); err == nil {
		err = s.checkHello(&q)
	}
	if err != nil {
		c.reply(e.ID, answer{}, err)
		return false
	}
	fields := object{
		"protocol": protocolVersion, "version": version, "place": s.registry.place, "boot": s.boot, "pid": os.Getpid(),
		"uid": os.Geteuid(), "platform": runtime.GOOS + "/" + runtime.GOARCH, "started_at_ms": s.startedAt.UnixMilli(),
		"now_ms": time.Now().UnixMilli(), "requests": slices.Sorted(maps.Keys(operations)),
	}
	if s.main != nil {
		fields["main"] = s.main.view()
	}
	c.reply(e.ID, answer{fields: fields}, nil)
	if q.Events {
		s.registry.events.subscribe(c)
	}
	return true
}

func (s *server) checkHello(q *helloRequest) error {
	digest := sha256.Sum256([]byte(q.Secret))
	if subtle.ConstantTimeCompare(digest[:], s.verifier[:]) != 1 {
		return fail("unauthorized", "the secret is wrong")
	}
	if q.Protocol != protocolVersion {
		return fail("bad_version", "protocol %d is not spoken here, only %d", q.Protocol, protocolVersion)
	}
	if q.ID < 1 {
		return fail("bad_request", "a request has a positive id")
	}
	return nil
}
