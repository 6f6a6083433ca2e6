//go:build linux

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestAProcessEndsWithItsCodeAndItsMergedOutputInOrder(t *testing.T) {
	c := newPlace(t).client()
	process := c.start("for i in $(seq 1000); do echo o$i; echo e$i >&2; done; exit 3", nil)
	view, text := c.ended(process)
	var want strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&want, "o%d\ne%d\n", i+1, i+1)
	}
	expect(t, "output", text, want.String())
	expect(t, "code", numberOf(view, "code"), 3)
	expect(t, "state", view["state"], any("ended"))
	if view["signal"] != nil || view["lingering"] != nil || view["err"] != nil {
		t.Fatal(view)
	}
	out := view["out"].(map[string]any)
	expect(t, "is_final", out["is_final"], any(true))
	c.event("started", process)
	c.event("grew", process)
	c.event("ended", process)
}

func TestSeparateStreamsAreReadApart(t *testing.T) {
	c := newPlace(t).client()
	process := c.start("echo out; echo err >&2", fields{"streams": "separate"})
	view, text := c.ended(process)
	expect(t, "stdout", text, "out\n")
	expect(t, "stderr", string(c.call("read", with(at(process), fields{"stream": "err"})).body), "err\n")
	expect(t, "end of stderr", numberOf(view["err"].(map[string]any), "end"), 4)
	merged := c.start("true", nil)
	c.fails("no_stream", "read", with(at(merged), fields{"stream": "err"}))
	c.fails("bad_request", "read", with(at(merged), fields{"stream": "in"}))
}

func TestOutputIsKeptByteForByte(t *testing.T) {
	c := newPlace(t).client()
	all := make([]byte, 3<<20)
	chance := rand.New(rand.NewPCG(1, 2))
	for i := range all {
		all[i] = byte(chance.Uint32())
	}
	file := filepath.Join(t.TempDir(), "bytes")
	must(t, os.WriteFile(file, all, 0o600))
	process := c.start("", fields{"argv": []string{"cat", file}, "head_bytes": 1000, "tail_bytes": 5000})
	c.read(process, "exit", nil)
	r := c.call("read", at(process))
	expect(t, "head", string(r.body), string(all[:1000]))
	r = c.call("read", with(at(process), fields{"offset": 1000}))
	expect(t, "missed", r.number("missed"), int64(len(all)-6000))
	expect(t, "start", r.number("start"), int64(len(all)-5000))
	expect(t, "tail", string(r.body), string(all[len(all)-5000:]))
	r = c.call("read", with(at(process), fields{"tail": 17}))
	expect(t, "last bytes", string(r.body), string(all[len(all)-17:]))
	r = c.call("read", with(at(process), fields{"tail": 100, "limit": 7}))
	expect(t, "last bytes within the limit", string(r.body), string(all[len(all)-7:]))
	text := c.fails("bad_offset", "read", with(at(process), fields{"offset": len(all) + 1}))
	if !strings.Contains(text, strconv.Itoa(len(all))) {
		t.Fatal(text)
	}
	r = c.call("read", with(at(process), fields{"offset": len(all)}))
	expect(t, "at the end", len(r.body), 0)
}

func TestADeathBySignalHasASignalAndNoCode(t *testing.T) {
	c := newPlace(t).client()
	for _, name := range []string{"TERM", "KILL", "INT", "HUP", "QUIT", "USR1", "USR2"} {
		process := c.start("", fields{"argv": []string{"sleep", "600"}})
		r := c.call("signal", with(at(process), fields{"signal": name}))
		expect(t, "signalled", r.number("signalled"), 1)
		view, _ := c.ended(process)
		expect(t, "signal", view["signal"], any(name))
		if view["code"] != nil {
			t.Fatal(view)
		}
	}
	view, _ := c.ended(c.start("kill -SEGV $$", nil))
	expect(t, "signal", view["signal"], any("SEGV"))
	process := c.start("true", nil)
	c.fails("bad_signal", "signal", with(at(process), fields{"signal": "STOP"}))
	c.ended(process)
	c.fails("ended", "signal", with(at(process), fields{"signal": "TERM"}))
}

func TestTermThenKillAfterTheGrace(t *testing.T) {
	c := newPlace(t).client()
	stubborn := c.start("trap 'echo no' TERM; echo ready; while :; do sleep 600 & wait; done", nil)
	c.read(stubborn, "pattern", fields{"pattern": "^ready$"})
	r := c.call("signal", with(at(stubborn), fields{"signal": "TERM", "grace_ms": 100}))
	expect(t, "left", r.number("left"), 0)
	expect(t, "signal", r.view()["signal"], any("KILL"))
	obedient := c.start("trap 'echo bye; exit 7' TERM; echo ready; while :; do :; done", nil)
	c.read(obedient, "pattern", fields{"pattern": "^ready$"})
	r = c.call("signal", with(at(obedient), fields{"signal": "TERM", "grace_ms": soon.Milliseconds()}))
	expect(t, "code", numberOf(r.view(), "code"), 7)
	expect(t, "gone", r.number("gone"), r.number("signalled"))
}

// living are the processes whose command line holds text.
func living(text string) (found []member) {
	for _, m := range census() {
		if line, err := readProc(m.pid, "cmdline"); err == nil && bytes.Contains(line, []byte(text)) {
			found = append(found, m)
		}
	}
	return found
}

func zombies(parent int) (count int) {
	directory, _ := os.ReadDir("/proc")
	for _, entry := range directory {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			if m, err := readMember(pid); err == nil && m.isDead() && m.parent == parent {
				count++
			}
		}
	}
	return count
}

func TestKillReachesTheWholeTreeAndLeavesNoZombies(t *testing.T) {
	p := newPlace(t)
	c := p.client()
	// A number that no other sleep on this machine has.
	n := 100000 + os.Getpid()%100000*10
	shell := fmt.Sprintf(`sleep %d | sleep %d & (setsid sleep %d &); sh -c "sleep %d &"; sleep %d`, n, n+1, n+2, n+3, n+4)
	process := c.start(shell, nil)
	sleeping := func() (count int) {
		for i := range 5 {
			for _, m := range living(strconv.Itoa(n + i)) {
				if name, _ := readProc(m.pid, "comm"); string(name) == "sleep\n" {
					count++
				}
			}
		}
		return count
	}
	eventually(t, "all five sleep", func() bool { return sleeping() == 5 })
	r := c.call("signal", with(at(process), fields{"signal": "KILL"}))
	expect(t, "signalled", r.number("signalled"), 6)
	expect(t, "gone", r.number("gone"), 6)
	expect(t, "left", r.number("left"), 0)
	expect(t, "alive", sleeping(), 0)
	eventually(t, "no zombies", func() bool { return zombies(p.command.Process.Pid) == 0 })
}

func TestWhoEscapedIsFoundByItsMark(t *testing.T) {
	for _, prepare := range []func(*exec.Cmd){nil, asNobody} {
		if prepare != nil && os.Getuid() != 0 {
			t.Skip("needs root to be another user")
		}
		findsWhoEscaped(t, newPlaceAs(t, prepare).client())
	}
}

func findsWhoEscaped(t *testing.T, c *client) {
	// A double fork into a session of its own, output closed: neither group, session nor parent tell.
	process := c.start("setsid sh -c 'sleep 600 >/dev/null 2>&1 & echo $!; exit' </dev/null", nil)
	view, text := c.ended(process)
	escaped, err := strconv.Atoi(strings.TrimSpace(text))
	must(t, err)
	expect(t, "lingering", fmt.Sprint(view["lingering"]), fmt.Sprint([]any{float64(escaped)}))
	r := c.call("signal", with(at(process), fields{"signal": "TERM", "grace_ms": soon.Milliseconds()}))
	expect(t, "gone", r.number("gone"), 1)
	if r.view()["lingering"] != nil {
		t.Fatal(r.view())
	}
	c.fails("ended", "signal", with(at(process), fields{"signal": "TERM"}))
}

func TestAForkBombOfDaemonsIsHuntedDown(t *testing.T) {
	c := newPlace(t).client()
	process := c.start(`export B='setsid sh -c "sleep 0.02; eval \"\$B\"" </dev/null >/dev/null 2>&1 &'; for i in 1 2 3; do eval "$B"; done; echo ready; sleep 600`, nil)
	c.read(process, "pattern", fields{"pattern": "^ready$"})
	r := c.call("signal", with(at(process), fields{"signal": "KILL"}))
	expect(t, "left", r.number("left"), 0)
	c.fails("ended", "signal", with(at(process), fields{"signal": "KILL"}))
}

func TestAServerLeftInTheBackgroundLingersWithItsPipe(t *testing.T) {
	c := newPlace(t, "--linger-grace-ms", "50").client()
	fifo := filepath.Join(t.TempDir(), "fifo")
	must(t, syscall.Mkfifo(fifo, 0o600))
	process := c.start(fmt.Sprintf("(while read line; do echo got $line; done < %s; echo end) & echo ok", fifo), nil)
	view, text := c.ended(process)
	expect(t, "output", text, "ok\n")
	expect(t, "code", numberOf(view, "code"), 0)
	expect(t, "is_final", view["out"].(map[string]any)["is_final"], any(false))
	expect(t, "lingering", len(view["lingering"].([]any)), 1)
	to, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	must(t, err)
	fmt.Fprintln(to, "something")
	to.Close()
	eventually(t, "its output is kept and final", func() bool {
		r := c.call("read", with(at(process), fields{"offset": 3}))
		isFinal := r.view()["out"].(map[string]any)["is_final"].(bool)
		return isFinal && string(r.body) == "got something\nend\n" && r.view()["lingering"] == nil
	})
}

func TestATimeLimitEndsAProcess(t *testing.T) {
	c := newPlace(t).client()
	view, _ := c.ended(c.start("sleep 600 & sleep 600", fields{"time_limit_ms": 50}))
	expect(t, "reason", view["reason"], any("time_limit"))
	expect(t, "signal", view["signal"], any("TERM"))
	view, _ = c.ended(c.start("true", fields{"time_limit_ms": 60000}))
	if view["reason"] != nil {
		t.Fatal(view)
	}
}

func TestInputIsWrittenInOrderAndClosed(t *testing.T) {
	c := newPlace(t).client()
	process := c.start("", fields{"argv": []string{"cat"}, "stdin": true})
	var ids []int64
	var want strings.Builder
	for i := range 200 {
		line := fmt.Sprintf("line %d\n", i)
		want.WriteString(line)
		ids = append(ids, c.send("write", at(process), []byte(line)...))
	}
	for _, id := range ids {
		c.wait(id)
	}
	r := c.call("write", with(at(process), fields{"close": true}), 0, 255, 10)
	expect(t, "written", r.number("written"), 3)
	_, text := c.ended(process)
	expect(t, "output", text, want.String()+"\x00\xff\n")
	c.fails("ended", "write", at(process), 'x')
	waiting := c.start("sleep 600", nil)
	c.fails("no_stdin", "write", at(waiting), 'x')
	closed := c.start("sleep 600", fields{"stdin": true})
	c.call("write", with(at(closed), fields{"close": true}))
	c.fails("no_stdin", "write", at(closed), 'x')
	deaf := c.start("exec <&-; echo ready; sleep 600", fields{"stdin": true})
	c.read(deaf, "pattern", fields{"pattern": "ready"})
	c.fails("no_stdin", "write", at(deaf), 'x')
}

func TestAWriteToAProcessThatDoesNotReadHoldsUpNobody(t *testing.T) {
	c := newPlace(t).client()
	process := c.start("sleep 600", fields{"stdin": true})
	stuck := c.send("write", at(process), make([]byte, 200000)...)
	next := c.send("write", at(process), 'x')
	c.call("ping", nil)
	c.call("cancel", fields{"target": stuck})
	r := c.wait(stuck)
	if written := r.number("written"); written == 0 || written >= 200000 {
		t.Fatalf("written %d", written)
	}
	c.call("cancel", fields{"target": next})
	expect(t, "written", c.wait(next).number("written"), 0)
}

func TestATerminalHasASizeAndAnEnd(t *testing.T) {
	c := newPlace(t).client()
	process := c.start("stty -echo; tty; stty size; while read line; do stty size; echo \"<$line>\"; done; echo end",
		fields{"tty": fields{"cols": 81, "rows": 23}})
	r := c.read(process, "pattern", fields{"pattern": `^23 81\r$`})
	if !strings.HasPrefix(string(r.body), "/dev/pts/") {
		t.Fatalf("%q", r.body)
	}
	expect(t, "has_tty", r.view()["has_tty"], any(true))
	c.call("resize", with(at(process), fields{"cols": 100, "rows": 40}))
	c.call("write", at(process), []byte("one\n")...)
	c.read(process, "pattern", fields{"pattern": `^40 100\r$`})
	c.call("write", with(at(process), fields{"close": true}), []byte("half")...)
	_, text := c.ended(process)
	if !strings.Contains(text, "<one>\r\n") || !strings.HasSuffix(text, "end\r\n") {
		t.Fatalf("%q", text)
	}
	c.fails("ended", "resize", with(at(process), fields{"cols": 1, "rows": 1}))
	c.fails("no_tty", "resize", with(at(c.start("sleep 600", nil)), fields{"cols": 1, "rows": 1}))
}

func TestAControlCharacterReachesTheForegroundOfATerminal(t *testing.T) {
	c := newPlace(t).client()
	process := c.start("", fields{"argv": []string{"cat"}, "tty": fields{"cols": 80, "rows": 24}})
	c.call("write", at(process), []byte("ready\n")...)
	c.read(process, "pattern", fields{"pattern": "(?s)ready.*ready"}) // the echo, then cat
	c.call("write", at(process), 3)
	view, _ := c.ended(process)
	expect(t, "signal", view["signal"], any("INT"))
}

func TestTheEnvironmentOfAProcess(t *testing.T) {
	p := newPlaceAs(t, func(command *exec.Cmd) { command.Env = append(command.Env, "KEPT=1", "OVER=1") })
	c := p.client()
	process := c.start("env | sort; cat /proc/self/environ | tr '\\0' '\\n' | grep WSMCP", fields{
		"env": fields{"OVER": "2", "EMPTY": "", "WSMCP_PROCESS": "fake", "WSMCP_X": "1"}, "cwd": "/"})
	_, text := c.ended(process)
	lines := strings.Split(text, "\n")
	for _, line := range []string{"KEPT=1", "OVER=2", "EMPTY=", "PWD=/", "WSMCP_PROCESS=" + p.id + "/" + process} {
		if !slices.Contains(lines, line) {
			t.Errorf("%s is missing in %q", line, text)
		}
	}
	expect(t, "names of ours", strings.Count(text, "WSMCP_"), 2)
	if strings.Contains(text, verifierOf(testSecret)) || strings.Contains(text, testSecret) {
		t.Error("the secret shows")
	}
	_, text = c.ended(c.start("", fields{"argv": []string{"/usr/bin/env"}, "clear_env": true, "env": fields{"A": "b"}}))
	expect(t, "lines", strings.Count(text, "\n"), 2)
}

func TestMemoryAndEnvironmentOfExecdAreOutOfReachForItsUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to be another user")
	}
	p := newPlaceAs(t, asNobody)
	process := p.client().start("cat /proc/$PPID/environ; cat /proc/$PPID/maps; cat /proc/self/environ | wc -c", nil)
	c := p.client()
	view, text := c.ended(process)
	expect(t, "code", numberOf(view, "code"), 0)
	expect(t, "refusals", strings.Count(text, "Permission denied"), 2)
	if strings.HasSuffix(text, "\n0\n") {
		t.Fatal("a child cannot read its own environment")
	}
	expect(t, "uid", numberOf(c.call("stats", nil).fields, "running"), 0)
}

// asNobody runs execd as a user without privileges, from a copy of the binary that this user can read.
func asNobody(command *exec.Cmd) {
	base := filepath.Dir(command.Args[slices.Index(command.Args, "--dir")+1])
	binary, err := os.ReadFile(command.Path)
	if err == nil {
		err = os.WriteFile(filepath.Join(base, "execd"), binary, 0o755)
	}
	if err == nil {
		err = os.Chown(base, 65534, 65534)
	}
	if err != nil {
		panic(err)
	}
	command.Path, command.Dir = filepath.Join(base, "execd"), "/"
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}

func TestAProcessOfAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	c := newPlace(t).client()
	for user, want := range map[string]string{"nobody": "65534 65534", "1234:4321": "1234 4321", "1234": "1234 0", "nobody:root": "65534 0"} {
		_, text := c.ended(c.start("echo $(id -u) $(id -g); echo > /dev/stdout", fields{"user": user}))
		expect(t, user, text, want+"\n\n")
	}
	_, text := c.ended(c.start("tty >/dev/null && echo > $(tty) && id -u", fields{"user": "nobody", "tty": fields{"cols": 80, "rows": 24}}))
	expect(t, "with a terminal", text, "\r\n65534\r\n")
	for _, user := range []string{"nosuchuser", "root:nosuchgroup", ":"} {
		c.fails("bad_user", "start", fields{"process": "x", "chat": "c", "shell": "true", "user": user})
	}
	c = newPlaceAs(t, asNobody).client()
	c.fails("bad_user", "start", fields{"process": "x", "chat": "c", "shell": "true", "user": "root"})
	view, _ := c.ended(c.start("true", fields{"user": "nobody"}))
	expect(t, "code", numberOf(view, "code"), 0)
}

func TestWhatCannotStartLeavesNothing(t *testing.T) {
	c := newPlace(t).client()
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), mode))
		return path
	}
	for name, row := range map[string]struct {
		code string
		with fields
	}{
		"no such directory":   {"bad_cwd", fields{"shell": "true", "cwd": "/no/such"}},
		"a file as directory": {"bad_cwd", fields{"shell": "true", "cwd": "/etc/passwd"}},
		"a relative cwd":      {"bad_cwd", fields{"shell": "true", "cwd": "tmp"}},
		"no such command":     {"no_command", fields{"argv": []string{"no-such-command"}}},
		"no such path":        {"no_command", fields{"argv": []string{"/no/such/command"}}},
		"an empty name":       {"no_command", fields{"argv": []string{""}}},
		"a directory":         {"no_command", fields{"argv": []string{"/"}}},
		"not executable":      {"no_command", fields{"argv": []string{file("plain", "x", 0o644)}}},
		"no program":          {"no_command", fields{"argv": []string{file("text", "x", 0o755)}}},
		"no interpreter":      {"no_command", fields{"argv": []string{file("script", "#!/no/such\n", 0o755)}}},
		"not in the path":     {"no_command", fields{"argv": []string{"sh"}, "env": fields{"PATH": dir}}},
		"too long":            {"start_failed", fields{"argv": []string{"true", strings.Repeat("x", 1<<20)}}},
		"argv and shell":      {"bad_request", fields{"argv": []string{"true"}, "shell": "true"}},
		"neither":             {"bad_request", fields{"argv": []string{}, "shell": ""}},
		"a NUL byte":          {"bad_request", fields{"shell": "true\x00"}},
		"a NUL in a value":    {"bad_request", fields{"shell": "true", "env": fields{"A": "\x00"}}},
		"a = in a name":       {"bad_request", fields{"shell": "true", "env": fields{"A=B": "1"}}},
		"an empty env name":   {"bad_request", fields{"shell": "true", "env": fields{"": "1"}}},
		"a bad id":            {"bad_request", fields{"shell": "true", "process": "../x"}},
		"no chat":             {"bad_request", fields{"shell": "true", "chat": ""}},
		"unknown streams":     {"bad_request", fields{"shell": "true", "streams": "none"}},
		"an empty tty":        {"bad_request", fields{"shell": "true", "tty": fields{}}},
		"negative limit":      {"bad_request", fields{"shell": "true", "time_limit_ms": -1}},
		"negative head":       {"bad_request", fields{"shell": "true", "head_bytes": -1}},
		"an unknown field":    {"bad_request", fields{"shell": "true", "cdw": "/"}},
		"a wrong type":        {"bad_request", fields{"shell": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			c.fails(row.code, "start", with(fields{"process": "same", "chat": "c", "key": "k"}, row.with))
		})
	}
	c.fails("not_found", "get", at("same"))
	expect(t, "known", numberOf(c.call("list", fields{"all": true, "receipts": true}).fields, "total"), 0)
	c.call("start", fields{"process": "same", "chat": "c", "key": "k", "shell": "true"})
	stats := c.call("stats", nil)
	expect(t, "processes", stats.number("running")+stats.number("ended"), 1)
}

func TestAnEqualStartIsTheSameProcess(t *testing.T) {
	p := newPlace(t)
	file := filepath.Join(t.TempDir(), "count")
	var wait sync.WaitGroup
	var repeated [2]int
	var mu sync.Mutex
	for i := range 8 {
		c := p.client()
		wait.Add(1)
		go func() {
			defer wait.Done()
			// Some repeat the id, all the key.
			r := c.call("start", fields{"process": fmt.Sprint("p", i%4), "chat": "c", "key": "k", "digest": "d", "shell": "echo >> " + file})
			mu.Lock()
			defer mu.Unlock()
			if r.fields["repeated"].(bool) {
				repeated[1]++
			} else {
				repeated[0]++
			}
		}()
	}
	wait.Wait()
	expect(t, "starts and repeats", repeated, [2]int{1, 7})
	c := p.client()
	list := c.call("list", fields{"chat": "c"}).fields["processes"].([]any)
	expect(t, "processes", len(list), 1)
	id := list[0].(map[string]any)["process"].(string)
	c.ended(id)
	text, err := os.ReadFile(file)
	must(t, err)
	expect(t, "runs", string(text), "\n")
	c.fails("conflict", "start", fields{"process": id, "chat": "c", "digest": "other", "shell": "true"})
	c.fails("conflict", "start", fields{"process": "new", "chat": "c", "key": "k", "digest": "other", "shell": "true"})
	c.fails("conflict", "start", fields{"process": id, "chat": "other", "key": "k", "digest": "d", "shell": "true"})
	r := c.call("start", fields{"process": "theirs", "chat": "other", "key": "k", "digest": "d", "shell": "true"})
	expect(t, "another chat's key", r.fields["repeated"], any(false))
}

func TestChatsHaveProcessesOfTheirOwnAndALimit(t *testing.T) {
	c := newPlace(t).client()
	a := c.start("sleep 600", nil)
	for op, more := range map[string]fields{
		"get": {}, "read": {}, "write": {}, "resize": {"cols": 1, "rows": 1}, "signal": {"signal": "TERM"},
	} {
		theirs := c.fails("not_found", op, with(fields{"process": a, "chat": "other"}, more))
		none := c.fails("not_found", op, with(fields{"process": a + "x", "chat": "other"}, more))
		expect(t, "text", theirs, strings.Replace(none, a+"x", a, 1))
	}
	expect(t, "their list", numberOf(c.call("list", fields{"chat": "other"}).fields, "total"), 0)
	c.start("sleep 600", fields{"max_running": 2})
	c.fails("limit", "start", fields{"process": "third", "chat": "c", "shell": "true", "max_running": 2})
	c.call("start", fields{"process": "third", "chat": "other", "shell": "true", "max_running": 2})
	c.call("signal", with(at(a), fields{"signal": "KILL"}))
	c.start("true", fields{"max_running": 2})
}

func TestListShowsRunningFirstThenTheNewest(t *testing.T) {
	c := newPlace(t).client()
	names := func(f fields) (ids []string) {
		for _, p := range c.call("list", with(fields{"chat": "c"}, f)).fields["processes"].([]any) {
			ids = append(ids, p.(map[string]any)["process"].(string))
		}
		return ids
	}
	r1, e1, r2, e2 := c.start("sleep 600", nil), c.start("true", nil), c.start("sleep 600", nil), c.start("true", nil)
	c.ended(e1)
	c.ended(e2)
	for _, row := range []struct {
		with fields
		want []string
	}{
		{nil, []string{r2, r1, e2, e1}}, {fields{"limit": 3}, []string{r2, r1, e2}}, {fields{"skip": 3}, []string{e1}},
		{fields{"state": "running"}, []string{r2, r1}}, {fields{"state": "ended"}, []string{e2, e1}}, {fields{"skip": 9}, nil},
	} {
		expect(t, fmt.Sprint(row.with), fmt.Sprint(names(row.with)), fmt.Sprint(row.want))
	}
	reply := c.call("list", fields{"all": true, "limit": 1})
	expect(t, "counts", [2]int64{reply.number("total"), reply.number("running")}, [2]int64{4, 2})
	for _, f := range []fields{{}, {"chat": "c", "all": true}, {"chat": "c", "state": "x"}, {"chat": "c", "limit": -1}} {
		c.fails("bad_request", "list", f)
	}
}

func TestEndedProcessesBecomeReceiptsAndAreForgotten(t *testing.T) {
	c := newPlace(t, "--keep-ended", "2", "--keep-receipts-ms", "400").client()
	first := c.start("printf 'some output \\303\\274'; exit 4", fields{"key": "k"})
	c.ended(first)
	c.ended(c.start("true", nil))
	c.ended(c.start("true", nil))
	r := c.call("get", at(first))
	expect(t, "is_receipt", r.view()["is_receipt"], any(true))
	expect(t, "last", r.view()["last"], any("some output ü"))
	expect(t, "code", numberOf(r.view(), "code"), 4)
	expect(t, "end", numberOf(r.view()["out"].(map[string]any), "end"), 14)
	c.fails("expired", "read", at(first))
	c.fails("conflict", "start", fields{"process": "new", "chat": "c", "key": "k", "digest": "other", "shell": "true"})
	expect(t, "listed", c.call("list", fields{"chat": "c"}).number("total"), 2)
	c.event("forgotten", first)
	c.fails("not_found", "get", at(first))
	c.call("start", fields{"process": first, "chat": "c", "key": "k", "digest": "other", "shell": "true"})
}

func TestAThousandProcessesLiveInLittleMemory(t *testing.T) {
	p := newPlace(t)
	c := p.client()
	var ids []int64
	for i := range 1000 {
		ids = append(ids, c.send("start", fields{"process": fmt.Sprint("n", i), "chat": fmt.Sprint("c", i%40), "argv": []string{"sleep", "600"}}))
	}
	for _, id := range ids {
		if r := c.wait(id); r.fields["error"] != nil {
			t.Fatal(r.fields)
		}
	}
	expect(t, "listed", len(c.call("list", fields{"all": true}).fields["processes"].([]any)), 1000)
	expect(t, "running", c.call("stats", nil).number("running"), 1000)
	r := c.call("signal", fields{"process": "n7", "chat": "c7", "signal": "KILL"})
	expect(t, "gone", r.number("gone"), 1)
	r = c.call("stop", nil)
	expect(t, "gone and left", [2]int64{r.number("gone"), r.number("left")}, [2]int64{999, 0})
}

func TestManyShortProcessesAtOnceAllEnd(t *testing.T) {
	p := newPlace(t)
	c := p.client()
	for i := range 300 {
		c.send("start", fields{"process": fmt.Sprint("n", i), "chat": fmt.Sprint("c", i%10), "shell": fmt.Sprintf("exit %d", i%200), "max_running": 50})
	}
	for i := range 300 {
		e := c.event("ended", fmt.Sprint("n", i))
		expect(t, "code", numberOf(e["process"].(map[string]any), "code"), int64(i%200))
	}
	eventually(t, "no zombies", func() bool { return zombies(p.command.Process.Pid) == 0 })
}

func TestStartsThatRaceWithStopLeaveNothing(t *testing.T) {
	for range 5 {
		p := newPlace(t)
		c := p.client()
		var ids []int64
		for i := range 40 {
			ids = append(ids, c.send("start", fields{"process": fmt.Sprint("n", i), "chat": "c", "argv": []string{"sleep", "600"}, "max_running": 50}))
		}
		c.wait(ids[3])
		stop := p.client()
		expect(t, "left", stop.call("stop", nil).number("left"), 0)
		select {
		case err := <-p.exited:
			must(t, err)
			p.exited <- nil
		case <-time.After(soon):
			t.Fatal("execd did not end")
		}
		if left := leftovers(p.id); len(left) > 0 {
			t.Fatalf("left: %v", left)
		}
	}
}

func TestWhereMemoryRunsOutProcessesGoBeforeExecd(t *testing.T) {
	p := newPlace(t)
	c := p.client()
	scoreOf := func(pid int64) int {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid))
		must(t, err)
		score, err := strconv.Atoi(strings.TrimSpace(string(text)))
		must(t, err)
		return score
	}
	own := scoreOf(int64(os.Getpid()))
	process := c.start("sleep 60 & echo $!; wait", nil)
	view := c.read(process, "output", nil).view()
	expect(t, "score of a process", scoreOf(numberOf(view, "pid")), min(own+childOomScore, maxOomScore))
	child, err := strconv.Atoi(strings.TrimSpace(string(c.call("read", at(process)).body)))
	must(t, err)
	if score := scoreOf(int64(child)); score < min(own+spawnOomScore, maxOomScore) {
		t.Errorf("its child has %d", score)
	}
	expect(t, "score of execd", scoreOf(int64(p.command.Process.Pid)), own)
}

func TestLooksThatMissSomebodyDoNotEndTheHuntWhileProcessesAreBorn(t *testing.T) {
	var sleepers []member
	for range 2 {
		command := exec.Command("sleep", "600")
		must(t, command.Start())
		go func() { _ = command.Wait() }()
		sleeper, err := readMember(command.Process.Pid)
		must(t, err)
		t.Cleanup(func() { sleeper.send(syscall.SIGKILL) })
		sleepers = append(sleepers, sleeper)
	}
	seen := [][]member{sleepers[:1], nil, nil, nil, sleepers[1:], sleepers[1:]}
	births := 0
	h := &hunt{
		births: func() string { births++; return fmt.Sprint(births) },
		find: func() []member {
			if len(seen) == 0 {
				return nil
			}
			now := seen[0]
			seen = seen[1:]
			return slices.DeleteFunc(slices.Clone(now), func(m member) bool { return !m.isAlive() })
		},
	}
	expect(t, "toll", fmt.Sprint(h.run(syscall.SIGKILL, 0)), fmt.Sprint(toll{signalled: 2, gone: 2}))
}
