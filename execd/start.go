package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// start runs a process, or finds the one that an equal request started before.
func (r *registry) start(q *startRequest) (p *process, isRepeated bool, err error) {
	if err := q.check(); err != nil {
		return nil, false, err
	}
	r.mu.Lock()
	p, err = r.earlier(q)
	if p != nil || err != nil {
		r.mu.Unlock()
		if err != nil {
			return nil, false, err
		}
		<-p.started
		return p, true, p.failed
	}
	if r.isStopping {
		r.mu.Unlock()
		return nil, false, fail("start_failed", "execd is stopping")
	}
	if running, limit := r.running[q.Chat], or(q.MaxRunning, defaultRunning); running >= limit {
		r.mu.Unlock()
		return nil, false, fail("limit", "this chat has %d running processes here; at most %d are allowed", running, limit)
	}
	p = r.reserve(q)
	r.mu.Unlock()

	err = r.launch(p, q)

	r.mu.Lock()
	if r.starting--; err != nil {
		p.failed = err
		r.forget(p)
		r.lessRunning(p.chat)
		r.mu.Unlock()
		close(p.started)
		return nil, false, err
	}
	r.noteStarted(p)
	r.mu.Unlock()
	r.events.emit(event{Event: "started", Process: p.view()})
	close(p.started)
	go p.drain(&p.out, p.ours.out)
	if p.ours.err != nil {
		go p.drain(&p.err, p.ours.err)
	}
	return p, false, nil
}

func (q *startRequest) check() error {
	switch {
	case !isPlainID(q.Process):
		return fail("bad_request", "process must be 1 to %d letters, digits, _ or -", maxProcessID)
	case q.Chat == "" || max(len(q.Chat), len(q.Key), len(q.Digest)) > maxName:
		return fail("bad_request", "chat is needed; chat, key and digest have at most %d bytes", maxName)
	case (len(q.Argv) == 0) == (q.Shell == ""):
		return fail("bad_request", "exactly one of argv and shell must be given and not empty")
	case q.Streams != "" && q.Streams != "merged" && q.Streams != "separate":
		return fail("bad_request", "streams is merged or separate")
	case q.Tty != nil && !q.Tty.isValid():
		return fail("bad_request", "tty has 1 to %d cols and rows", maxTtySize)
	case q.Tty != nil && q.Streams == "separate":
		return fail("bad_request", "a tty has one stream")
	case q.TimeLimitMs < 0 || or(q.MaxRunning, 1) < 1:
		return fail("bad_request", "time_limit_ms is at least 0, max_running at least 1")
	case or(q.HeadBytes, 0) < 0 || or(q.TailBytes, 0) < 0 || max(or(q.HeadBytes, 0), or(q.TailBytes, 0)) > maxKept:
		return fail("bad_request", "head_bytes and tail_bytes are 0 to %d", maxKept)
	case strings.Contains(strings.Join(q.Argv, "")+q.Shell+q.Cwd+q.User, "\x00"):
		return fail("bad_request", "a NUL byte cannot be part of a command, cwd or user")
	}
	for name, value := range q.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			return fail("bad_request", "env %q: a name is not empty and has no =; neither it nor its value has a NUL byte", cutText(name, 100))
		}
	}
	return nil
}

func isPlainID(id string) bool {
	return id != "" && len(id) <= maxProcessID && !strings.ContainsFunc(id, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-'
	})
}

func or[T any](value *T, otherwise T) T {
	if value == nil {
		return otherwise
	}
	return *value
}

// earlier is the process that this request already started.
func (r *registry) earlier(q *startRequest) (*process, error) {
	p := r.byID[q.Process]
	if p == nil && q.Key != "" {
		p = r.byKey[chatKey{q.Chat, q.Key}]
	}
	if p == nil {
		return nil, nil
	}
	if p.chat != q.Chat || p.digest != q.Digest {
		if p.id == q.Process {
			return nil, fail("conflict", "the id %q belongs to another request", p.id)
		}
		return nil, fail("conflict", "the key %q was used for another request", cutText(q.Key, 100))
	}
	return p, nil
}

// reserve makes the process known before it runs, so that an equal request waits for it.
func (r *registry) reserve(q *startRequest) *process {
	r.starts++
	p := &process{
		registry: r, id: q.Process, chat: q.Chat, key: q.Key, digest: q.Digest, cwd: q.Cwd, user: q.User,
		argv: cutArgv(q.argv()), shell: cutText(q.Shell, shownBytes), number: r.starts, startedAt: time.Now(),
		hasTty: q.Tty != nil, hasStdin: q.Stdin || q.Tty != nil, isSeparate: q.Streams == "separate",
		started: make(chan struct{}), over: make(chan struct{}), drained: make(chan struct{}),
		readers: map[chan struct{}]bool{},
	}
	for _, o := range []*output{&p.out, &p.err} {
		o.headMax, o.tailMax = or(q.HeadBytes, defaultHead), or(q.TailBytes, defaultTail)
	}
	p.err.isFinal = !p.isSeparate
	r.byID[p.id] = p
	if p.key != "" {
		r.byKey[chatKey{p.chat, p.key}] = p
	}
	r.running[p.chat]++
	r.starting++
	return p
}

func (q *startRequest) argv() []string {
	if q.Shell != "" {
		return []string{"sh", "-c", q.Shell}
	}
	return q.Argv
}

func cutArgv(argv []string) []string {
	left := shownBytes
	for i, argument := range argv {
		if len(argument) > left {
			return append(slices.Clone(argv[:i]), cutText(argument, max(left, 4)))
		}
		left -= len(argument) + 1
	}
	return argv
}

// launch starts what was reserved.
func (r *registry) launch(p *process, q *startRequest) error {
	l := &launch{argv: q.argv(), dir: q.Cwd, tty: q.Tty, hasStdin: q.Stdin, isSeparate: p.isSeparate}
	if err := checkCwd(q.Cwd); err != nil {
		return err
	}
	home := ""
	if q.User != "" {
		who, err := accountOf(q.User)
		if err != nil {
			return err
		}
		l.credential, home = who.credential, who.home
	}
	l.env = r.environmentOf(q, home)
	var err error
	if l.path, err = commandPath(l.argv[0], l.dir, l.env); err != nil {
		return err
	}
	p.startTicks, p.startedAt, p.open = ticksNow(), time.Now(), 1
	if p.isSeparate {
		p.open = 2
	}
	p.pid, p.ours, err = l.run(r.reaper, p.leaderEnded)
	if err != nil {
		return startFailure(err, l)
	}
	p.input = p.ours.in
	if q.TimeLimitMs > 0 {
		p.limit = time.AfterFunc(time.Duration(min(q.TimeLimitMs, maxWaitMs))*time.Millisecond, p.endAtLimit)
	}
	return nil
}

func checkCwd(dir string) error {
	if dir == "" {
		return nil
	}
	if len(dir) > maxPath || !filepath.IsAbs(dir) {
		return fail("bad_cwd", "the directory %q is not an absolute path of at most %d bytes", cutText(dir, 200), maxPath)
	}
	info, err := os.Stat(dir)
	switch {
	case os.IsNotExist(err):
		return fail("bad_cwd", "the directory %q does not exist", dir)
	case err != nil:
		return fail("bad_cwd", "the directory %q cannot be entered: %s", dir, reasonOf(err))
	case !info.IsDir():
		return fail("bad_cwd", "%q is no directory", dir)
	}
	return nil
}

// startFailure puts the system's error into words. What could be checked before was checked, so ENOENT is about what
// the command needs.
func startFailure(err error, l *launch) error {
	switch name := cutText(l.argv[0], 200); err {
	case syscall.ENOENT:
		return fail("no_command", "%q cannot run: its interpreter was not found", name)
	case syscall.EACCES:
		return fail("no_command", "%q cannot run: permission denied, for it or for its directory", name)
	case syscall.ENOEXEC:
		return fail("no_command", "%q cannot run: it is no program for this system", name)
	case syscall.E2BIG:
		return fail("start_failed", "arguments and environment are too long")
	default:
		return fail("start_failed", "%q: %s", name, err)
	}
}

// reasonOf leaves out the path that os errors repeat.
func reasonOf(err error) string {
	if path, isPath := err.(*os.PathError); isPath {
		return path.Err.Error()
	}
	return err.Error()
}

// environmentOf lays the request's environment over execd's own. No name of ours gets through.
func (r *registry) environmentOf(q *startRequest, home string) []string {
	env := []string{markOf(r.place, q.Process)}
	over := map[string]string{}
	if home != "" {
		over["HOME"] = home
	}
	if q.Cwd != "" {
		over["PWD"] = q.Cwd
	}
	for name, value := range q.Env {
		over[name] = value
	}
	if !q.ClearEnv {
		for _, entry := range r.environment {
			if name, _, _ := strings.Cut(entry, "="); !has(over, name) {
				env = append(env, entry)
			}
		}
	}
	for name, value := range over {
		if !strings.HasPrefix(name, "WSMCP_") {
			env = append(env, name+"="+value)
		}
	}
	return env
}

func has[K comparable, V any](m map[K]V, key K) bool {
	_, isThere := m[key]
	return isThere
}
