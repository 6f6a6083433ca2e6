package main

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// launch says what to start and with which streams.
type launch struct {
	path       string
	argv, env  []string
	dir        string
	credential *syscall.Credential
	tty        *ttySize
	hasStdin   bool
	isSeparate bool
}

// streams are execd's ends of the streams of a process; with a tty in and out are one file.
type streams struct{ in, out, err *os.File }

func (s streams) close() {
	for _, file := range []*os.File{s.in, s.out, s.err} {
		if file != nil {
			file.Close()
		}
	}
}

var devNull = sync.OnceValues(func() (int, error) {
	return syscall.Open(os.DevNull, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
})

// run starts l in a session of its own.
func (l *launch) run(r *reaper, onExit func(syscall.WaitStatus)) (pid int, ours streams, err error) {
	var theirs [3]int
	var toClose []int
	defer func() {
		for _, fd := range toClose {
			syscall.Close(fd)
		}
		if err != nil {
			ours.close()
		}
	}()
	attr := &syscall.ProcAttr{Dir: l.dir, Env: l.env, Sys: &syscall.SysProcAttr{Setsid: true, Credential: l.credential}}
	if l.tty != nil {
		var slave int
		if ours.out, slave, err = openTty(*l.tty, l.credential); err != nil {
			return 0, ours, err
		}
		ours.in, theirs, toClose = ours.out, [3]int{slave, slave, slave}, []int{slave}
		attr.Sys.Setctty = true // of the child's descriptor 0
	} else {
		if theirs, toClose, ours, err = l.openPipes(); err != nil {
			return 0, ours, err
		}
	}
	attr.Files = []uintptr{uintptr(theirs[0]), uintptr(theirs[1]), uintptr(theirs[2])}
	pid, err = r.spawn(l.path, l.argv, attr, onExit)
	return pid, ours, err
}

// openPipes gives the child's ends, which of them to close after the start, and our ends.
func (l *launch) openPipes() (theirs [3]int, toClose []int, ours streams, err error) {
	if theirs[0], err = devNull(); err != nil {
		return theirs, nil, ours, err
	}
	if l.hasStdin {
		if theirs[0], ours.in, err = pipeTo(); err != nil {
			return theirs, nil, ours, err
		}
		toClose = append(toClose, theirs[0])
	}
	if ours.out, theirs[1], err = pipeFrom(); err != nil {
		return theirs, toClose, ours, err
	}
	toClose = append(toClose, theirs[1])
	theirs[2] = theirs[1]
	if l.isSeparate {
		if ours.err, theirs[2], err = pipeFrom(); err != nil {
			return theirs, toClose, ours, err
		}
		toClose = append(toClose, theirs[2])
	}
	if l.credential != nil {
		for _, fd := range toClose { // or opening /dev/stdout would be refused
			_ = syscall.Fchown(fd, int(l.credential.Uid), int(l.credential.Gid))
		}
	}
	return theirs, toClose, ours, nil
}

// pipeFrom is a pipe that a child writes to; our end does not block.
func pipeFrom() (ours *os.File, theirs int, err error) {
	var ends [2]int
	if err := makePipe(&ends); err != nil {
		return nil, 0, err
	}
	syscall.SetNonblock(ends[0], true)
	return os.NewFile(uintptr(ends[0]), "output"), ends[1], nil
}

// pipeTo is a pipe that a child reads from; our end does not block.
func pipeTo() (theirs int, ours *os.File, err error) {
	var ends [2]int
	if err := makePipe(&ends); err != nil {
		return 0, nil, err
	}
	syscall.SetNonblock(ends[1], true)
	return ends[0], os.NewFile(uintptr(ends[1]), "input"), nil
}

// commandPath finds name as the process itself would, from its own directory and PATH.
func commandPath(name, dir string, env []string) (string, error) {
	if name == "" {
		return "", fail("no_command", "the command is empty")
	}
	places := []string{""}
	if !strings.Contains(name, "/") {
		path := defaultPath
		for _, entry := range env {
			if value, isPath := strings.CutPrefix(entry, "PATH="); isPath {
				path = value
			}
		}
		places = filepath.SplitList(path)
	}
	isThere := false
	for _, place := range places {
		path := filepath.Join(place, name)
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			isThere = true
			if info.Mode()&0o111 != 0 {
				return path, nil
			}
		}
	}
	if isThere {
		return "", fail("no_command", "%q is not executable", cutText(name, 200))
	}
	return "", fail("no_command", "%q was not found", cutText(name, 200))
}

// account is the user that a process runs as.
type account struct {
	credential *syscall.Credential
	home       string
}

// accountOf resolves name or uid, with :group or :gid after it. Only root can become another user.
func accountOf(spec string) (account, error) {
	name, group, hasGroup := strings.Cut(spec, ":")
	var found account
	known, err := user.Lookup(name)
	if uid, numberErr := strconv.ParseUint(name, 10, 31); err != nil && numberErr == nil {
		// A number without an entry is a user, too: its group is 0, as container engines have it.
		if known, err = user.LookupId(name); err != nil {
			known, err = &user.User{Uid: strconv.FormatUint(uid, 10), Gid: "0", HomeDir: "/"}, nil
		}
	}
	if err != nil {
		return found, fail("bad_user", "there is no user %q in this place", cutText(name, 100))
	}
	if hasGroup {
		known.Gid = group
		if _, err := strconv.ParseUint(group, 10, 31); err != nil {
			entry, err := user.LookupGroup(group)
			if err != nil {
				return found, fail("bad_user", "there is no group %q in this place", cutText(group, 100))
			}
			known.Gid = entry.Gid
		}
	}
	uid, _ := strconv.ParseUint(known.Uid, 10, 32)
	gid, _ := strconv.ParseUint(known.Gid, 10, 32)
	found.home = known.HomeDir
	if own := os.Geteuid(); own != 0 {
		if int(uid) != own || hasGroup {
			return found, fail("bad_user", "only root can run a process as %q; this place runs as uid %d", cutText(spec, 100), own)
		}
		return found, nil
	}
	found.credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	if ids, err := known.GroupIds(); err == nil && !hasGroup {
		for _, id := range ids {
			if n, err := strconv.ParseUint(id, 10, 32); err == nil {
				found.credential.Groups = append(found.credential.Groups, uint32(n))
			}
		}
	}
	return found, nil
}
