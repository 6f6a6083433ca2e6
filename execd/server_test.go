//go:build linux

package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestHelloSaysWhoIsThere(t *testing.T) {
	p := newPlace(t)
	c := newClient(t, p.dial())
	r := c.hello(fields{"events": true})
	expect(t, "place", r.fields["place"], any(p.id))
	expect(t, "protocol", r.number("protocol"), protocolVersion)
	expect(t, "pid", r.number("pid"), int64(p.command.Process.Pid))
	expect(t, "platform", r.fields["platform"], any(runtime.GOOS+"/"+runtime.GOARCH))
	expect(t, "boot", len(r.fields["boot"].(string)), 16)
	if r.fields["main"] != nil || r.number("started_at_ms") > r.number("now_ms") {
		t.Fatal(r.fields)
	}
	expect(t, "boot again", p.client().hello2().fields["boot"], r.fields["boot"])
	c.fails("bad_request", "hello", nil)
}

// hello2 says hello on a connection of its own.
func (c *client) hello2() reply {
	other := newClient(c.t, redial(c))
	return other.hello(nil)
}

func redial(c *client) net.Conn {
	path := c.stream.(*net.UnixConn).RemoteAddr().String()
	stream, err := net.Dial("unix", path)
	must(c.t, err)
	return stream
}

func (c *client) isClosed() {
	c.t.Helper()
	eventually(c.t, "the connection is closed", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.isOver
	})
}

func TestOnlyWhoKnowsTheSecretIsServed(t *testing.T) {
	p := newPlace(t)
	good := fields{"protocol": 1, "secret": testSecret}
	for _, row := range []struct {
		code, op string
		with     fields
	}{
		{"unauthorized", "hello", with(good, fields{"secret": "wrong"})},
		{"unauthorized", "hello", with(good, fields{"secret": ""})},
		{"unauthorized", "hello", with(good, fields{"secret": verifierOf(testSecret)})},
		{"unauthorized", "list", fields{"all": true}},
		{"unauthorized", "stop", nil},
		{"bad_version", "hello", with(good, fields{"protocol": 2})},
		{"bad_request", "hello", with(good, fields{"unknown": 2})},
	} {
		c := newClient(t, p.dial())
		c.fails(row.code, row.op, row.with)
		c.isClosed()
	}
	long := newClient(t, p.dial())
	_, _ = long.stream.Write([]byte{0, 2, 0, 0})
	long.isClosed()
	p.client().call("ping", nil)
}

func TestAConnectionWithoutSenseEndsAndHarmsNoOther(t *testing.T) {
	p := newPlace(t)
	good := p.client()
	process := good.start("sleep 600", nil)
	for _, g := range goldenFrames(t) {
		if g.Error != "too_long" && g.Error != "bad_header" {
			continue
		}
		c := p.client()
		var raw []byte
		_, err := fmt.Sscanf(g.FrameHex, "%x", &raw)
		must(t, err)
		_, err = c.stream.Write(raw)
		must(t, err)
		c.isClosed()
	}
	dead := p.client()
	dead.send("read", with(at(process), fields{"wait": fields{"until": "exit", "timeout_ms": 600000}}))
	dead.stream.Close()
	for _, f := range []fields{{"id": 0}, {"id": -5}, {"id": 1.5}, {"id": "x"}} {
		c := p.client()
		text := fmt.Sprintf(`{"id":%v,"op":"ping"}`, f["id"])
		if f["id"] == "x" {
			text = `{"id":"x","op":"ping"}`
		}
		frame, err := encodeFrame([]byte(text), nil)
		must(t, err)
		_, err = c.stream.Write(frame)
		must(t, err)
		c.until("an error", func() bool {
			for _, r := range c.answer {
				return r.fields["error"] != nil
			}
			return false
		})
	}
	good.fails("bad_request", "nothing", nil)
	id := good.send("read", with(at(process), fields{"wait": fields{"until": "exit", "timeout_ms": 600000}}))
	good.fails("bad_request", "ping", fields{"id": id})
	eventually(t, "only the good connections are left", func() bool { return good.call("stats", nil).number("connections") <= 5 })
}

func TestASilentConnectionIsClosed(t *testing.T) {
	p := newPlace(t, "--idle-ms", "150")
	silent, alive := p.client(), p.client()
	for !func() bool { silent.mu.Lock(); defer silent.mu.Unlock(); return silent.isOver }() {
		alive.call("ping", nil)
	}
	alive.call("ping", nil)
}

func TestAnotherUserIsRefused(t *testing.T) {
	var isOther atomic.Bool
	_, dial := pipeServer(t, func(s *server) {
		s.peerOf = func(*net.UnixConn) (int, bool) {
			if isOther.Load() {
				return os.Geteuid() + 1, true
			}
			return os.Geteuid(), true
		}
	})
	c := newClient(t, dial(t))
	c.hello(nil)
	isOther.Store(true)
	stranger := newClient(t, dial(t))
	stranger.isClosed()
	c.call("ping", nil)
	other, err := peerPair(t)
	must(t, err)
	uid, isKnown := peerOf(other)
	if isKnown && uid != os.Geteuid() {
		t.Fatalf("the peer is %d", uid)
	}
}

func peerPair(t *testing.T) (*net.UnixConn, error) {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s")})
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	stream, err := connect(listener.Addr().String(), soon)
	if err == nil {
		t.Cleanup(func() { stream.Close() })
	}
	return stream, err
}

func TestTheDirectoryMustBeOurOwn(t *testing.T) {
	base := t.TempDir()
	s := newServer(testRegistry(generous()), sha256.Sum256(nil))
	file, link, open := filepath.Join(base, "file"), filepath.Join(base, "link"), filepath.Join(base, "open")
	must(t, os.WriteFile(file, nil, 0o600))
	must(t, os.Mkdir(filepath.Join(base, "real"), 0o700))
	must(t, os.Symlink("real", link))
	must(t, os.Mkdir(open, 0o755))
	for _, dir := range []string{file, link, open, filepath.Join(base, strings.Repeat("x", 100))} {
		if err := s.listen(dir); err == nil {
			t.Errorf("%s was taken", dir)
		}
	}
	if os.Getuid() == 0 {
		theirs := filepath.Join(base, "theirs")
		must(t, os.Mkdir(theirs, 0o700))
		must(t, os.Chown(theirs, 65534, 65534))
		if err := s.listen(theirs); err == nil || !strings.Contains(err.Error(), "another user") {
			t.Error(err)
		}
	}
}

func TestASecondExecdLeavesTheFirstAlone(t *testing.T) {
	p := newPlace(t)
	c := p.client()
	process := c.start("sleep 600", nil)
	for _, more := range []string{"--idle-ms=1000", "--detach"} {
		again := execdCommand("serve", "--dir", p.dir, "--place", p.id, more)
		text, err := again.CombinedOutput()
		must(t, err)
		if !strings.Contains(string(text), "already running") {
			t.Fatalf("%q", text)
		}
	}
	expect(t, "state", c.call("get", at(process)).view()["state"], any("running"))
}

func TestAKilledExecdIsReplacedAndItsProcessesAreEnded(t *testing.T) {
	p := newPlace(t)
	c := p.client()
	process := c.start("echo $$; exec sleep 600", nil)
	pid := int(numberOf(c.call("get", at(process)).view(), "pid"))
	must(t, p.command.Process.Kill())
	<-p.exited
	orphan, err := readMember(pid)
	must(t, err)
	next := execdCommand("serve", "--dir", p.dir, "--place", p.id)
	must(t, next.Start())
	defer func() {
		_ = next.Process.Signal(syscall.SIGTERM)
		p.exited <- next.Wait()
	}()
	p.client().fails("not_found", "get", at(process))
	eventually(t, "the orphan is gone", func() bool { return !orphan.isAlive() })
}

func TestDetachedItGoesOnInTheBackground(t *testing.T) {
	base, err := os.MkdirTemp("", "x")
	must(t, err)
	defer os.RemoveAll(base)
	p := &place{t: t, dir: filepath.Join(base, "d"), id: fmt.Sprintf("t%d-detached", os.Getpid())}
	command := execdCommand("serve", "--dir", p.dir, "--place", p.id, "--detach")
	text, err := command.CombinedOutput() // returns: the background holds no stream of ours
	must(t, err)
	expect(t, "output", string(text), "")
	stream, err := net.Dial("unix", filepath.Join(p.dir, "sock"))
	must(t, err)
	c := newClient(t, stream)
	pid := int(c.hello(nil).number("pid"))
	m, err := readMember(pid)
	must(t, err)
	expect(t, "session", m.session, pid)
	c.start("sleep 600", nil)
	expect(t, "left", c.call("stop", fields{"grace_ms": 1000}).number("left"), 0)
	c.isClosed()
	eventually(t, "execd has ended", func() bool { return !m.isAlive() })
	broken := execdCommand("serve", "--dir", "/proc/no", "--place", "p", "--detach")
	text, err = broken.CombinedOutput()
	if err == nil || !strings.HasPrefix(string(text), "execd: mkdir /proc/no") {
		t.Fatalf("%v %q", err, text)
	}
}

func TestStoppingTwiceIsStoppingOnce(t *testing.T) {
	p := newPlace(t)
	c := p.client()
	process := c.start("trap '' TERM; echo ready; while :; do sleep 600; done", nil)
	c.read(process, "output", nil)
	other := p.client()
	// Both are under way: the process does not end for half a second.
	first := c.send("stop", fields{"grace_ms": 500})
	second := other.send("stop", fields{"grace_ms": 500})
	for id, of := range map[int64]*client{first: c, second: other} {
		expect(t, "left", of.wait(id).number("left"), 0)
	}
	c.isClosed()
}

func TestBadCommandLines(t *testing.T) {
	for _, args := range [][]string{
		{}, {"nonsense"}, {"serve"}, {"serve", "--dir", "/tmp/x"}, {"serve", "--dir", "/tmp/x", "--place", "a/b"},
		{"serve", "--dir", "/tmp/x", "--place", "p", "--detach", "--", "true"}, {"serve", "--dir", "/tmp/x", "--place", "p", "--gated"}, {"serve", "--dir", "/tmp/x", "--place", "p", "--idle-ms", "-1"},
		{"attach", "--dir", "/no/such", "--wait-ms", "1"}, {"attach", "--nonsense"}, {"hold", "on"},
	} {
		text, err := execdCommand(args...).CombinedOutput()
		if err == nil || strings.Count(string(text), "\n") != 1 || !strings.HasPrefix(string(text), "execd: ") {
			t.Errorf("%v: %v %q", args, err, text)
		}
	}
	bare := execdCommand("serve", "--dir", "/tmp/x", "--place", "p")
	bare.Env = append(os.Environ(), roleName+"=execd", verifierName+"=zz")
	if text, err := bare.CombinedOutput(); err == nil || !strings.Contains(string(text), verifierName) {
		t.Errorf("%v %q", err, text)
	}
	text, err := execdCommand("version").Output()
	must(t, err)
	expect(t, "version", string(text), version+"\n")
}

// bridge is a client at the other end of execd attach.
type bridge struct {
	io.WriteCloser
	io.Reader
}

func TestAttachIsABridge(t *testing.T) {
	p := newPlace(t)
	command := execdCommand("attach", "--dir", p.dir)
	in, err := command.StdinPipe()
	must(t, err)
	out, err := command.StdoutPipe()
	must(t, err)
	must(t, command.Start())
	c := newClient(t, bridge{in, out})
	c.hello(nil)
	process := c.start("head -c 3000000 /dev/urandom", fields{"tail_bytes": 4 << 20})
	c.ended(process)
	var all []byte
	for offset := 0; offset < 3000000; offset = len(all) {
		all = append(all, c.call("read", with(at(process), fields{"offset": offset, "limit": maxWindow})).body...)
	}
	direct := p.client()
	want := direct.call("read", with(at(process), fields{"offset": 2000000, "limit": maxWindow})).body
	if !bytes.Equal(all[2000000:], want) || len(all) != 3000000 {
		t.Fatalf("%d bytes came through", len(all))
	}
	// What was asked before the end of stdin is answered.
	id := c.send("get", at(process))
	must(t, in.Close())
	expect(t, "answer", c.wait(id).view()["state"], any("ended"))
	must(t, command.Wait())

	second := execdCommand("attach", "--dir", p.dir)
	in, err = second.StdinPipe()
	must(t, err)
	defer in.Close()
	out, err = second.StdoutPipe()
	must(t, err)
	must(t, second.Start())
	c = newClient(t, bridge{in, out})
	c.hello(nil)
	direct.call("stop", nil)
	c.isClosed()
	must(t, second.Wait()) // although its stdin is open
}

func TestAttachWaitsForTheSocket(t *testing.T) {
	base, err := os.MkdirTemp("", "x")
	must(t, err)
	defer os.RemoveAll(base)
	dir := filepath.Join(base, "d")
	command := execdCommand("attach", "--dir", dir, "--wait-ms", "9000")
	in, err := command.StdinPipe()
	must(t, err)
	out, err := command.StdoutPipe()
	must(t, err)
	must(t, command.Start())
	server := execdCommand("serve", "--dir", dir, "--place", "late")
	must(t, server.Start())
	c := newClient(t, bridge{in, out})
	c.hello(nil)
	c.call("stop", nil)
	must(t, server.Wait())
	must(t, command.Wait())
}

func TestAsEntryPointItRunsTheCommandOfTheContainer(t *testing.T) {
	var out bytes.Buffer
	p := newPlaceAs(t, func(command *exec.Cmd) {
		command.Stdin, command.Stdout = strings.NewReader("from stdin\n"), &out
	}, "--", "sh", "-c", "cat; echo $WSMCP_PROCESS; exit 5")
	c := p.client()
	var main map[string]any
	eventually(t, "main has ended", func() bool {
		main = c.hello2().fields["main"].(map[string]any)
		return main["state"] == "ended"
	})
	expect(t, "code", numberOf(main, "code"), 5)
	expect(t, "argv", fmt.Sprint(main["argv"].([]any)[:2]), "[sh -c]")
	view, _ := c.ended(c.start("exit 2", nil))
	expect(t, "it goes on serving", numberOf(view, "code"), 2)
	c.call("stop", nil)
	must(t, <-p.exited)
	p.exited <- nil
	expect(t, "output", out.String(), "from stdin\n"+p.id+"/.main\n")
}

func TestAnEntryPointWhoseCommandCannotStartGoesOnServing(t *testing.T) {
	p := newPlace(t, "--", "/no/such/command", "x")
	c := p.client()
	main := c.hello2().fields["main"].(map[string]any)
	expect(t, "state", main["state"], any("ended"))
	expect(t, "code", numberOf(main, "code"), 127)
	view, _ := c.ended(c.start("true", nil))
	expect(t, "code", numberOf(view, "code"), 0)
	c.call("stop", nil)
	must(t, <-p.exited)
	p.exited <- nil
	expect(t, "stderr", p.stderr.String(), "execd: cannot start \"/no/such/command\": no_command: \"/no/such/command\" was not found\n")
}

func TestAGatedCommandWaitsForItsRelease(t *testing.T) {
	var out bytes.Buffer
	p := newPlaceAs(t, func(command *exec.Cmd) { command.Stdout = &out }, "--gated", "--", "sh", "-c", "echo run; exit 5")
	c := p.client()
	main := func() map[string]any { return c.hello2().fields["main"].(map[string]any) }
	view, _ := c.ended(c.start("true", nil))
	expect(t, "processes run", numberOf(view, "code"), 0)
	expect(t, "main", fmt.Sprint(main()), "map[argv:[sh -c echo run; exit 5] state:waiting]")
	other := p.client()
	id := other.send("release", nil)
	c.call("release", nil) // at the same time
	expect(t, "the other's", outcome(other.wait(id)), "ok")
	eventually(t, "main has ended", func() bool { return main()["state"] == "ended" })
	expect(t, "code", numberOf(main(), "code"), 5)
	c.call("release", nil)
	c.call("stop", nil)
	must(t, <-p.exited)
	p.exited <- nil
	expect(t, "output", out.String(), "run\n")
}

func TestAReleaseOfWhatDoesNotWaitChangesNothing(t *testing.T) {
	newPlace(t).client().call("release", nil)
	p := newPlace(t, "--gated", "--", "/no/such/command")
	c := p.client()
	c.fails("bad_request", "release", fields{"process": "p"})
	c.call("release", nil)
	main := c.hello2().fields["main"].(map[string]any)
	expect(t, "main", fmt.Sprint(main["state"], main["code"]), "ended127")
	c.call("release", nil)
}

func TestAGatedCommandThatIsStoppedNeverRuns(t *testing.T) {
	made := filepath.Join(t.TempDir(), "made")
	p := newPlace(t, "--gated", "--", "touch", made)
	c := p.client()
	c.call("ping", nil)
	must(t, p.command.Process.Signal(syscall.SIGTERM))
	must(t, <-p.exited)
	p.exited <- nil
	if _, err := os.Stat(made); err == nil {
		t.Fatal("it ran")
	}
	s, dial := pipeServer(t) // its registry is stopping
	s.main = newMain(s.registry, []string{"touch", made})
	stopping := newClient(t, dial(t))
	stopping.hello(nil)
	stopping.fails("start_failed", "release", nil)
	expect(t, "state", s.main.view()["state"], any("waiting"))
}

func TestHelloNamesTheRequestsThatAreServed(t *testing.T) {
	named := fmt.Sprint(newPlace(t).client().hello2().fields["requests"])
	expect(t, "requests", named, "[cancel get hello list list_directory ping probe read read_file release resize signal start stat stats stop write write_file]")
}

func TestTermEndsEverythingAndThenExecd(t *testing.T) {
	ready := filepath.Join(t.TempDir(), "ready")
	p := newPlace(t, "--", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.01; done")
	c := p.client()
	process := c.start("trap 'touch "+ready+"; exit 0' TERM; echo ready; while :; do sleep 0.01; done", nil)
	c.read(process, "pattern", fields{"pattern": "ready"})
	began := time.Now()
	must(t, p.command.Process.Signal(syscall.SIGTERM))
	must(t, <-p.exited)
	p.exited <- nil
	if took := time.Since(began); took > stopGrace {
		t.Fatalf("it took %s", took)
	}
	_, err := os.Stat(ready)
	must(t, err)
	if _, err := os.Stat(filepath.Join(p.dir, "sock")); err == nil {
		t.Fatal("the socket is left")
	}
}

func TestStatsCountWhatThereIs(t *testing.T) {
	c := newPlace(t).client()
	c.start("sleep 600", nil)
	c.ended(c.start("head -c 100000 /dev/zero", nil))
	r := c.call("stats", nil)
	expect(t, "running, ended, receipts", [3]int64{r.number("running"), r.number("ended"), r.number("receipts")}, [3]int64{1, 1, 0})
	expect(t, "connections", r.number("connections"), 1)
	if held := r.number("held_bytes"); held < 100000 || held > 250000 {
		t.Fatalf("%d bytes are held", held)
	}
	if r.number("rss_bytes") < 1<<20 || r.number("uptime_ms") < 0 {
		t.Fatal(r.fields)
	}
}

func TestShareLetsEveryUserMakeFiles(t *testing.T) {
	directory := t.TempDir()
	if err := os.Chmod(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	if text, err := execdCommand("share", directory).CombinedOutput(); err != nil {
		t.Fatal(err, string(text))
	}
	found, err := os.Stat(directory)
	if err != nil || found.Mode() != os.ModeDir|os.ModeSticky|0o777 {
		t.Fatal(found.Mode(), err)
	}
	if execdCommand("share").Run() == nil || execdCommand("share", directory+"/none").Run() == nil {
		t.Fatal("share takes one directory that is there")
	}
}
