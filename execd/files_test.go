//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
)

// disk is a root directory, beside which there is what no request may reach.
type disk struct {
	*client
	root, outside string
}

const secret = "not to be reached"

func newDisk(t testing.TB) disk {
	_, dial := pipeServer(t)
	d := disk{newClient(t, dial(t)), "", ""}
	d.hello(nil)
	d.root, d.outside = newTree(t)
	return d
}

func newTree(t testing.TB) (root, outside string) {
	base := t.TempDir()
	root, outside = filepath.Join(base, "root"), filepath.Join(base, "outside")
	must(t, os.MkdirAll(filepath.Join(root, "sub"), 0o755))
	must(t, os.Mkdir(outside, 0o755))
	must(t, os.WriteFile(filepath.Join(root, "file"), []byte("content"), 0o640))
	must(t, os.WriteFile(filepath.Join(root, "sub", "deep"), []byte("deep content"), 0o600))
	must(t, os.WriteFile(filepath.Join(outside, "secret"), []byte(secret), 0o644))
	return root, outside
}

func (d disk) at(path string) fields { return fields{"root": d.root, "path": path} }

func (d disk) link(target, name string) { must(d.t, os.Symlink(target, filepath.Join(d.root, name))) }

// content reads what is on the disk, not through execd.
func (d disk) content(path string) string {
	text, err := os.ReadFile(filepath.Join(d.root, path))
	must(d.t, err)
	return string(text)
}

// names are what is in a directory of the disk.
func (d disk) names(path string) (names []string) {
	entries, err := os.ReadDir(filepath.Join(d.root, path))
	must(d.t, err)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// untouched makes sure that nothing outside has changed.
func (d disk) untouched() {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.outside, "secret"))
	must(d.t, err)
	expect(d.t, "secret", string(text), secret)
	entries, err := os.ReadDir(d.outside)
	must(d.t, err)
	expect(d.t, "things outside", len(entries), 1)
}

var fileOps = []string{"stat", "read_file", "write_file", "list_directory"}

func TestStatSaysWhatIsThere(t *testing.T) {
	d := newDisk(t)
	d.link("sub/deep", "link")
	for path, kind := range map[string]string{"": "directory", ".": "directory", "sub": "directory", "file": "file", "link": "file", "./sub//deep": "file"} {
		expect(t, path, d.call("stat", d.at(path)).fields["kind"], any(kind))
	}
	r := d.call("stat", d.at("file"))
	info, err := os.Stat(filepath.Join(d.root, "file"))
	must(t, err)
	s := info.Sys().(*syscall.Stat_t)
	expect(t, "size and mode", [2]int64{r.number("size"), r.number("mode")}, [2]int64{7, 0o640})
	expect(t, "owner", [2]int64{r.number("uid"), r.number("gid")}, [2]int64{int64(s.Uid), int64(s.Gid)})
	expect(t, "device and inode", [2]uint64{uint64(r.number("device")), uint64(r.number("inode"))}, [2]uint64{s.Dev, s.Ino})
	expect(t, "mtime", r.number("mtime_ms"), info.ModTime().UnixMilli())
}

func TestAFileIsReadInWindows(t *testing.T) {
	d := newDisk(t)
	for _, row := range []struct {
		offset, limit int
		want          string
	}{{0, 3, "con"}, {3, 100, "tent"}, {7, 5, ""}, {1 << 40, 5, ""}} {
		r := d.call("read_file", with(d.at("file"), fields{"offset": row.offset, "limit": row.limit}))
		expect(t, "window", string(r.body), row.want)
		expect(t, "size", r.number("size"), 7)
	}
	expect(t, "whole", string(d.call("read_file", d.at("sub/deep")).body), "deep content")
	for _, row := range []fields{{"offset": -1}, {"limit": 0}, {"limit": maxFileBytes + 1}} {
		d.fails("bad_request", "read_file", with(d.at("file"), row))
	}
	// A file without a size has content all the same.
	r := d.call("read_file", fields{"root": "/proc", "path": "self/status"})
	expect(t, "size", r.number("size"), 0)
	if !bytes.HasPrefix(r.body, []byte("Name:")) {
		t.Fatalf("%q", r.body)
	}
}

func TestAFileOfAMebibyteIsReadAndWrittenAndNoLargerOne(t *testing.T) {
	d := newDisk(t)
	large := bytes.Repeat([]byte("0123456789abcdef"), maxFileBytes/16)
	expect(t, "size", d.call("write_file", d.at("large"), large...).number("size"), maxFileBytes)
	expect(t, "content", bytes.Equal(d.call("read_file", d.at("large")).body, large), true)
	d.fails("too_large", "write_file", d.at("larger"), append(large, 'x')...)
	d.fails("no_file", "stat", d.at("larger"))
	must(t, os.WriteFile(filepath.Join(d.root, "larger"), append(large, "rest"...), 0o600))
	r := d.call("read_file", d.at("larger"))
	expect(t, "size and window", [2]int64{r.number("size"), int64(len(r.body))}, [2]int64{maxFileBytes + 4, maxFileBytes})
	expect(t, "rest", string(d.call("read_file", with(d.at("larger"), fields{"offset": maxFileBytes})).body), "rest")
}

func TestPathsThatAreNoneAreRefused(t *testing.T) {
	d := newDisk(t)
	for _, op := range fileOps {
		for _, path := range []string{
			"..", "../outside/secret", "sub/../file", "sub/..", "/etc/passwd", "/", d.outside + "/secret", "a\x00b",
			strings.Repeat("x", maxPath+1), strings.Repeat("x", 300), "file/", "file/x",
		} {
			d.fails("bad_path", op, d.at(path))
		}
		for _, root := range []string{"", "relative", ".", "/x\x00", "/" + strings.Repeat("x", maxPath), filepath.Join(d.root, "file")} {
			d.fails("bad_path", op, fields{"root": root, "path": "file"})
		}
		d.fails("no_file", op, fields{"root": "/no/such/root", "path": "file"})
		d.fails("bad_request", op, with(d.at("file"), fields{"unknown": 1}))
		d.fails("bad_request", op, fields{"root": d.root, "path": 5})
	}
	d.fails("no_file", "read_file", d.at("sub/missing"))
	d.fails("no_file", "list_directory", d.at("missing"))
	d.fails("bad_path", "list_directory", d.at("file"))
	d.untouched()
	expect(t, "names", fmt.Sprint(d.names("")), "[file sub]")
}

func TestALinkThatLeadsOutIsNotFollowed(t *testing.T) {
	d := newDisk(t)
	d.link("../outside/secret", "relative")
	d.link(filepath.Join(d.outside, "secret"), "absolute")
	d.link(filepath.Join(d.root, "file"), "absolute-inside")
	d.link("../outside", "directory")
	d.link("relative", "chain")
	d.link("../outside/new", "dangling")
	d.link("circle", "circle")
	d.link("/proc/self/root/etc", "magic")
	for _, op := range fileOps {
		for _, path := range []string{
			"relative", "absolute", "absolute-inside", "directory/secret", "directory/sub", "chain", "dangling", "circle", "magic", "magic/passwd",
		} {
			d.fails("bad_path", op, with(d.at(path), fields{}))
		}
	}
	d.fails("bad_path", "list_directory", d.at("directory"))
	d.fails("bad_path", "write_file", with(d.at("directory/a/b"), fields{"makes_directories": true}))
	d.fails("bad_path", "read_file", fields{"root": "/proc/self", "path": "root/etc/passwd"})
	d.untouched()
}

func TestALinkBelowTheRootIsFollowed(t *testing.T) {
	d := newDisk(t)
	d.link("sub", "directory")
	d.link("../sub/deep", "sub/back") // by way of the directory above it
	d.link("directory/back", "far")
	d.link("sub/new", "dangling")
	for _, path := range []string{"directory/deep", "sub/back", "far", "directory/back"} {
		expect(t, path, string(d.call("read_file", d.at(path)).body), "deep content")
	}
	d.call("write_file", d.at("far"), []byte("changed")...)
	d.call("write_file", d.at("dangling"), []byte("made")...)
	expect(t, "written through links", d.content("sub/deep")+d.content("sub/new"), "changedmade")
	target, err := os.Readlink(filepath.Join(d.root, "far"))
	must(t, err)
	expect(t, "the link", target, "directory/back")
	expect(t, "names", fmt.Sprint(d.names("sub")), "[back deep new]")
	d.fails("not_a_file", "write_file", d.at("directory"))
}

func TestALinkThatIsSwappedMeanwhileNeverLeadsOut(t *testing.T) {
	d := newDisk(t)
	other := disk{newClient(t, redial(d.client)), d.root, d.outside}
	other.hello(nil)
	var isOver atomic.Bool
	var racer sync.WaitGroup
	racer.Go(func() {
		for !isOver.Load() {
			for _, kind := range []string{"directory", "../outside", "pipe", "sub"} {
				d.swap("folder", kind)
			}
			for _, kind := range []string{"file", "../outside/secret", "pipe", "sub/deep", "directory"} {
				d.swap("leaf", kind)
			}
		}
	})
	seen := map[string]int{}
	for i := 0; i < 500 || seen["ok"] == 0 || seen["bad_path"] == 0 || seen["not_a_file"] == 0; i++ {
		for _, path := range []string{"folder/secret", "leaf"} {
			reading, looking := d.send("read_file", d.at(path)), d.send("stat", d.at(path))
			writing := other.send("write_file", other.at(path), []byte("forged")...)
			listing := other.send("list_directory", d.at("folder"))
			for _, r := range []reply{other.wait(writing), other.wait(listing), d.wait(looking)} {
				seen[outcome(r)]++
			}
			r := d.wait(reading)
			if seen[outcome(r)]++; bytes.Contains(r.body, []byte("reached")) {
				t.Fatal("the secret was read")
			}
		}
	}
	isOver.Store(true)
	racer.Wait()
	d.untouched()
}

// swap puts something else into the place of name: a file, a directory, a pipe, or a link.
func (d disk) swap(name, kind string) {
	fresh, err := filepath.Join(d.root, "fresh"), error(nil)
	switch kind {
	case "file":
		err = os.WriteFile(fresh, nil, 0o644)
	case "directory":
		err = os.Mkdir(fresh, 0o755)
	case "pipe":
		err = syscall.Mkfifo(fresh, 0o644)
	default:
		err = os.Symlink(kind, fresh)
	}
	for err == nil {
		_ = os.RemoveAll(filepath.Join(d.root, name))
		if os.Rename(fresh, filepath.Join(d.root, name)) == nil { // or a writer was there first
			return
		}
	}
	d.t.Error(err)
}

func outcome(r reply) string {
	if problem, isError := r.fields["error"].(map[string]any); isError {
		return problem["code"].(string)
	}
	return "ok"
}

func TestWhatIsNoFileIsRefusedAndBlocksNothing(t *testing.T) {
	d := newDisk(t)
	must(t, syscall.Mkfifo(filepath.Join(d.root, "pipe"), 0o644))
	listener, err := net.Listen("unix", filepath.Join(d.root, "socket"))
	must(t, err)
	defer listener.Close()
	for _, op := range []string{"read_file", "write_file"} {
		for _, path := range []string{"pipe", "socket", "sub", "", "."} {
			d.fails("not_a_file", op, d.at(path))
		}
		for _, device := range []string{"zero", "null", "tty", "ptmx"} {
			d.fails("not_a_file", op, fields{"root": "/dev", "path": device})
		}
		d.fails("bad_path", op, d.at("pipe/x"))
		d.fails("bad_path", op, fields{"root": filepath.Join(d.root, "pipe"), "path": "x"})
	}
	d.fails("bad_path", "list_directory", d.at("pipe"))
	d.fails("bad_path", "list_directory", fields{"root": "/dev", "path": "zero"})
	for path, kind := range map[string]string{"pipe": "pipe", "socket": "socket"} {
		expect(t, path, d.call("stat", d.at(path)).fields["kind"], any(kind))
	}
	expect(t, "device", d.call("stat", fields{"root": "/dev", "path": "null"}).fields["kind"], any("device"))
	info, err := os.Lstat(filepath.Join(d.root, "pipe"))
	must(t, err)
	expect(t, "the pipe is one", info.Mode().Type(), os.ModeNamedPipe)
}

func TestAWrittenFileKeepsItsModeOrGetsTheOneAskedFor(t *testing.T) {
	d := newDisk(t)
	mode := func(path string) int64 { return d.call("stat", d.at(path)).number("mode") }
	d.call("write_file", d.at("file"), []byte("new")...)
	expect(t, "content", d.content("file"), "new")
	expect(t, "kept", mode("file"), 0o640)
	d.call("write_file", with(d.at("file"), fields{"mode": 0o755}))
	expect(t, "asked for", mode("file"), 0o755)
	expect(t, "empty", d.content("file"), "")
	d.call("write_file", d.at("fresh"))
	expect(t, "default", mode("fresh"), newFileMode)
	d.call("write_file", with(d.at("private"), fields{"mode": 0}))
	expect(t, "none", mode("private"), 0)
	for _, bad := range []int{0o1000, 0o4755, -1} {
		d.fails("bad_request", "write_file", with(d.at("file"), fields{"mode": bad}))
	}
	if os.Getuid() == 0 {
		must(t, os.Chown(filepath.Join(d.root, "file"), 1234, 4321))
		d.call("write_file", d.at("file"))
		r := d.call("stat", d.at("file"))
		expect(t, "owner", [3]int64{r.number("uid"), r.number("gid"), r.number("mode")}, [3]int64{1234, 4321, 0o755})
	}
}

func TestDirectoriesAreMadeWhereThatIsWanted(t *testing.T) {
	d := newDisk(t)
	d.fails("no_file", "write_file", d.at("a/b/c"))
	expect(t, "names", fmt.Sprint(d.names("")), "[file sub]")
	for _, path := range []string{"a/b/c", "a/b/c", "a/d", "top"} {
		d.call("write_file", with(d.at(path), fields{"makes_directories": true}), []byte(path)...)
		expect(t, path, d.content(path), path)
	}
	d.fails("bad_path", "write_file", with(d.at("file/x/y"), fields{"makes_directories": true}))
	d.fails("not_a_file", "write_file", with(d.at("a/b"), fields{"makes_directories": true}))
	expect(t, "names", fmt.Sprint(d.names("a/b")), "[c]")
}

func TestTwoWritersLeaveOneWholeFileAndAReaderSeesNoOther(t *testing.T) {
	d := newDisk(t)
	contents := map[byte][]byte{}
	for _, letter := range []byte("ab") {
		contents[letter] = bytes.Repeat([]byte{letter}, maxFileBytes)
	}
	d.call("write_file", d.at("both"), contents['a']...)
	var writers sync.WaitGroup
	var done atomic.Int32
	for _, letter := range []byte("ab") {
		own := disk{newClient(t, redial(d.client)), d.root, d.outside}
		own.hello(nil)
		writers.Go(func() {
			defer done.Add(1)
			for range 30 {
				own.call("write_file", own.at("both"), contents[letter]...)
			}
		})
	}
	for done.Load() < 2 {
		r := d.call("read_file", d.at("both"))
		if !bytes.Equal(r.body, contents[r.body[0]]) {
			t.Fatal("the file was not whole")
		}
	}
	writers.Wait()
	expect(t, "names", fmt.Sprint(d.names("")), "[both file sub]")
}

func TestADirectoryIsListedByNameUpToALimit(t *testing.T) {
	d := newDisk(t)
	d.link("../outside", "out")
	listing := func(path string, more fields) (text string, total int64) {
		r := d.call("list_directory", with(d.at(path), more))
		for _, entry := range r.fields["entries"].([]any) {
			e := entry.(map[string]any)
			text += fmt.Sprint(e["name"], " ", e["kind"], " ", e["size"].(float64) > 0, "; ")
		}
		return text, r.number("total")
	}
	text, total := listing("", nil)
	expect(t, "root", text, "file file true; out link true; sub directory true; ")
	expect(t, "total", total, 3)
	if text, total = listing("", fields{"limit": 1}); text != "file file true; " || total != 3 {
		t.Fatal(text, total)
	}
	must(t, os.Mkdir(filepath.Join(d.root, "empty"), 0o755))
	if text, total = listing("empty", nil); text != "" || total != 0 {
		t.Fatal(text, total)
	}
	for _, limit := range []int{0, -1, maxListed + 1} {
		d.fails("bad_request", "list_directory", with(d.at(""), fields{"limit": limit}))
	}
}

func TestAHugeDirectoryIsListedInPart(t *testing.T) {
	d := newDisk(t)
	const files = 5_000
	// Names that take six times their length in JSON do not fit into a frame.
	for i := range files {
		name := fmt.Sprintf("%05d%s", i, strings.Repeat("\x01", 200))
		must(t, os.WriteFile(filepath.Join(d.root, "sub", name), nil, 0o600))
	}
	names := func(limit int) (first, last string, count int) {
		r := d.call("list_directory", with(d.at("sub"), fields{"limit": limit}))
		expect(t, "total", r.number("total"), files+1)
		entries := r.fields["entries"].([]any)
		name := func(i int) string { return entries[i].(map[string]any)["name"].(string)[:5] }
		return name(0), name(len(entries) - 1), len(entries)
	}
	first, last, count := names(100)
	expect(t, "of a hundred", fmt.Sprintln(first, last, count), "00000 00099 100\n")
	first, last, count = names(maxListed)
	if first != "00000" || last != fmt.Sprintf("%05d", count-1) || count < 2000 || count > 3000 {
		t.Fatal(first, last, count)
	}
}

func TestWithoutPermissionNothingIsReadOrWritten(t *testing.T) {
	var prepare func(*exec.Cmd)
	if os.Getuid() == 0 {
		prepare = asNobody
	}
	c := newPlaceAs(t, prepare).client()
	root, _ := newTree(t)
	must(t, os.Chmod(filepath.Dir(filepath.Dir(root)), 0o755)) // of the test's temporary directory
	must(t, os.Chmod(filepath.Dir(root), 0o755))
	d := disk{c, root, ""}
	must(t, os.Chmod(filepath.Join(root, "file"), 0))
	must(t, os.Chmod(filepath.Join(root, "sub"), 0))
	defer os.Chmod(filepath.Join(root, "sub"), 0o755)
	d.fails("no_permission", "read_file", d.at("file"))
	for _, op := range fileOps {
		d.fails("no_permission", op, d.at("sub/deep"))
	}
	d.fails("no_permission", "list_directory", d.at("sub"))
	must(t, os.Chmod(root, 0o555))
	d.fails("no_permission", "write_file", d.at("new"))
	d.fails("no_permission", "write_file", with(d.at("new/new"), fields{"makes_directories": true}))
	must(t, os.Chmod(root, 0o755))
	expect(t, "names", fmt.Sprint(d.names("")), "[file sub]")
}

func TestAFileForWhichThereIsNoRoomLeavesTheOldOne(t *testing.T) {
	p := newPlaceAs(t, func(command *exec.Cmd) {
		command.Args = append([]string{"sh", "-c", `ulimit -f 64; exec "$0" "$@"`, command.Path}, command.Args[1:]...)
		command.Path = "/bin/sh"
	})
	root, outside := newTree(t)
	d := disk{p.client(), root, outside}
	d.fails("no_space", "write_file", d.at("file"), make([]byte, maxFileBytes)...)
	expect(t, "content", d.content("file"), "content")
	d.fails("no_space", "write_file", with(d.at("new/file"), fields{"makes_directories": true}), make([]byte, maxFileBytes)...)
	expect(t, "names", fmt.Sprint(d.names("")), "[file new sub]")
	expect(t, "names", len(d.names("new")), 0)
	d.call("write_file", d.at("file"), []byte("small")...)
}

func TestErrorsOfTheSystemHaveOurCodes(t *testing.T) {
	for errno, code := range map[syscall.Errno]string{
		syscall.ENOSPC: "no_space", syscall.EDQUOT: "no_space", syscall.EROFS: "no_permission", syscall.EBUSY: "no_permission",
		syscall.ELOOP: "bad_path", syscall.EIO: "internal", syscall.EEXIST: "not_a_file",
	} {
		err := fileFailure(&os.PathError{Op: "open", Path: "/host/path", Err: errno}, "p")
		if err.(*failure).Code != code || strings.Contains(err.Error(), "/host") {
			t.Errorf("%s: %s", errno, err)
		}
	}
}

func TestFileRequestsTakeTurnsAndHoldUpNoOthers(t *testing.T) {
	s, dial := pipeServer(t)
	root, outside := newTree(t)
	d := disk{newClient(t, dial(t)), root, outside}
	d.hello(nil)
	for range maxFileWork {
		s.fileWork <- struct{}{}
	}
	id := d.send("stat", d.at("file"))
	leaver := disk{newClient(t, dial(t)), root, outside}
	leaver.hello(nil)
	leaver.send("stat", leaver.at("file"))
	leaver.stream.Close()
	d.call("ping", nil)
	eventually(t, "who has left waits no more", func() bool { return d.call("stats", nil).number("connections") == 1 })
	<-s.fileWork
	expect(t, "kind", d.wait(id).fields["kind"], any("file"))
	for range maxFileWork - 1 {
		<-s.fileWork
	}
	expect(t, "under way", len(s.fileWork), 0)
}

func TestAFileRequestDoesNotWaitForeverForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{fileWork: make(chan struct{}, 1)}
		must(t, s.takeFileTurn(nil))
		if err := s.takeFileTurn(nil); err == nil || err.(*failure).Code != "limit" {
			t.Fatal(err)
		}
	})
}
