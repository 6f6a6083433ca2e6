package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	maxFileBytes   = 1 << 20 // of one read_file or write_file
	maxFileWork    = 8       // file requests of a place that are under way at once; each may hold maxFileBytes
	fileTurnWithin = 10 * time.Second
)

// fileView is a file or directory as clients see it.
type fileView struct {
	Kind    string `json:"kind"`
	Size    int64  `json:"size"`
	Mode    uint32 `json:"mode"`
	UID     uint32 `json:"uid"`
	GID     uint32 `json:"gid"`
	MtimeMs int64  `json:"mtime_ms"`
	Device  uint64 `json:"device"`
	Inode   uint64 `json:"inode"`
}

func viewOf(info fs.FileInfo) fileView {
	view := fileView{Kind: kindOf(info.Mode()), Size: info.Size(), MtimeMs: info.ModTime().UnixMilli()}
	if s, isKnown := info.Sys().(*syscall.Stat_t); isKnown {
		view.Mode, view.UID, view.GID = uint32(s.Mode)&0o7777, s.Uid, s.Gid
		view.Device, view.Inode = uint64(s.Dev), s.Ino
	}
	return view
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return "file"
	case mode.IsDir():
		return "directory"
	case mode&fs.ModeSymlink != 0:
		return "link"
	case mode&fs.ModeNamedPipe != 0:
		return "pipe"
	case mode&fs.ModeSocket != 0:
		return "socket"
	case mode&fs.ModeDevice != 0:
		return "device"
	}
	return "other"
}

// location is what a file request is about: a path below a root directory, which no link leads out of.
type location struct {
	Root string `json:"root"`
	Path string `json:"path"` // relative; empty is the root itself
}

func (l *location) check() error {
	shown := cutText(l.Path, 200)
	switch {
	case len(l.Root) > maxPath || !filepath.IsAbs(l.Root) || strings.Contains(l.Root, "\x00"):
		return fail("bad_path", "the root %q is not an absolute path of at most %d bytes", cutText(l.Root, 200), maxPath)
	case len(l.Path) > maxPath || strings.Contains(l.Path, "\x00"):
		return fail("bad_path", "%q: a path has at most %d bytes and no NUL byte", shown, maxPath)
	case filepath.IsAbs(l.Path):
		return fail("bad_path", "%q is absolute; a path is relative to %q", shown, cutText(l.Root, 200))
	}
	for part := range strings.SplitSeq(l.Path, "/") {
		if part == ".." {
			return fail("bad_path", "%q has a part \"..\"", shown)
		}
	}
	if l.Path == "" {
		l.Path = "."
	}
	return nil
}

// open gives the root. The dot makes the system refuse what is no directory: opening a pipe would block.
func (l *location) open() (*os.Root, error) {
	root, err := os.OpenRoot(l.Root + "/.")
	if err != nil {
		return nil, fileFailure(err, l.Root)
	}
	return root, nil
}

// fileFailure puts an error of the system into our words.
func fileFailure(err error, path string) error {
	var known *failure
	if errors.As(err, &known) {
		return known
	}
	shown := cutText(path, 200)
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		if strings.HasSuffix(err.Error(), "path escapes from parent") { // os has no name for it
			return fail("bad_path", "%q: a link leads out of the root (an absolute link counts as one that does)", shown)
		}
		return fail("internal", "%q: %s", shown, err)
	}
	switch errno {
	case syscall.ENOENT:
		return fail("no_file", "there is no %q", shown)
	case syscall.ENOTDIR:
		return fail("bad_path", "%q: a part of it is no directory", shown)
	case syscall.ELOOP:
		return fail("bad_path", "%q: too many links, or links in a circle", shown)
	case syscall.ENAMETOOLONG, syscall.EINVAL:
		return fail("bad_path", "%q: %s", shown, errno)
	case syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.EBUSY, syscall.ETXTBSY:
		return fail("no_permission", "%q: %s", shown, errno)
	case syscall.EISDIR, syscall.EEXIST, syscall.ENOTEMPTY, syscall.ENXIO:
		return fail("not_a_file", "%q is no regular file", shown)
	case syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG:
		return fail("no_space", "%q: %s", shown, errno)
	}
	return fail("internal", "%q: %s", shown, errno)
}

func notAFile(path string, mode fs.FileMode) error {
	return fail("not_a_file", "%q is no regular file but a %s", cutText(path, 200), kindOf(mode))
}

// onFiles does a file request apart from the connection's reader, since a disk may be slow, and not too many at once.
func onFiles(c *conn, l *location, do func(*os.Root) (answer, error)) (answer, error) {
	if err := l.check(); err != nil {
		return answer{}, err
	}
	return answer{later: func(<-chan struct{}) (answer, error) {
		if !c.waitForRoom() {
			return answer{fields: object{}}, nil
		}
		if err := c.server.takeFileTurn(c.ended); err != nil {
			return answer{}, err
		}
		defer func() { <-c.server.fileWork }()
		root, err := l.open()
		if err != nil {
			return answer{}, err
		}
		defer root.Close()
		result, err := do(root)
		if err != nil {
			return answer{}, fileFailure(err, l.Path)
		}
		return result, nil
	}}, nil
}

func (s *server) takeFileTurn(gone <-chan struct{}) error {
	select {
	case s.fileWork <- struct{}{}:
		return nil
	default:
	}
	late := time.NewTimer(fileTurnWithin)
	defer late.Stop()
	select {
	case s.fileWork <- struct{}{}:
		return nil
	case <-gone:
	case <-late.C:
	}
	return fail("limit", "%d file requests are under way in this place, and none has ended within %s", maxFileWork, fileTurnWithin)
}
