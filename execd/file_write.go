package main

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"strings"
	"syscall"
)

const (
	maxLinks      = 8 // as many as os.Root follows
	newFileMode   = 0o644
	directoryMode = 0o755
)

type writeFileRequest struct {
	envelope
	location
	Mode             *uint32 `json:"mode"`
	MakesDirectories bool    `json:"makes_directories"`
}

func opWriteFile(c *conn, q *writeFileRequest, body []byte) (answer, error) {
	switch {
	case len(body) > maxFileBytes:
		return answer{}, fail("too_large", "the content has %d bytes; at most %d can be written", len(body), maxFileBytes)
	case or(q.Mode, 0) > 0o777:
		return answer{}, fail("bad_request", "mode is 0 to 511 (0o777)")
	}
	return onFiles(c, &q.location, func(root *os.Root) (answer, error) {
		if err := q.write(root, body); err != nil {
			return answer{}, err
		}
		return answer{fields: object{"size": len(body)}}, nil
	})
}

// write replaces the whole file at once: whoever reads meanwhile sees the old one or the new one.
func (q *writeFileRequest) write(root *os.Root, content []byte) error {
	directory, name, old, err := q.target(root)
	if err != nil {
		return err
	}
	defer directory.Close()
	fresh := fmt.Sprintf(".ws-mcp-%016x.new", rand.Uint64())
	file, err := directory.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = q.dress(file, old)
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = directory.Rename(fresh, name)
	}
	if err != nil {
		_ = directory.Remove(fresh)
	}
	return err
}

// target follows links, as reading does, to the directory and the name where the file is to be, and says what is
// there now (nil: nothing).
func (q *writeFileRequest) target(root *os.Root) (directory *os.Root, name string, old fs.FileInfo, err error) {
	at := q.Path
	for range maxLinks {
		above, name := path.Split(at)
		switch name {
		case "":
			return nil, "", nil, fail("bad_path", "%q ends with /, so it names no file", cutText(at, 200))
		case ".", "..":
			return nil, "", nil, notAFile(at, fs.ModeDir)
		}
		// It is not cleaned: ".." of a link's target counts from where the links before it lead to.
		if directory, err = q.openDirectory(root, above+"."); err != nil {
			return nil, "", nil, err
		}
		old, err = directory.Lstat(name)
		switch {
		case os.IsNotExist(err):
			return directory, name, nil, nil
		case err == nil && old.Mode().IsRegular():
			return directory, name, old, nil
		case err == nil && old.Mode()&fs.ModeSymlink != 0:
			at, err = directory.Readlink(name)
			if !strings.HasPrefix(at, "/") {
				at = above + at
			}
		case err == nil:
			err = notAFile(at, old.Mode())
		}
		directory.Close()
		if err != nil {
			return nil, "", nil, err
		}
	}
	return nil, "", nil, syscall.ELOOP
}

func (q *writeFileRequest) openDirectory(root *os.Root, at string) (*os.Root, error) {
	directory, err := root.OpenRoot(at)
	if !q.MakesDirectories || !os.IsNotExist(err) {
		return directory, err
	}
	if err := root.MkdirAll(strings.TrimSuffix(at, "/."), directoryMode); err != nil {
		return nil, err
	}
	return root.OpenRoot(at)
}

// dress gives a new file the mode that was asked for, or the mode and the owner of the file that it replaces.
func (q *writeFileRequest) dress(file *os.File, old fs.FileInfo) error {
	mode := fs.FileMode(newFileMode)
	if old != nil {
		mode = old.Mode().Perm()
		if s, isKnown := old.Sys().(*syscall.Stat_t); isKnown {
			_ = file.Chown(int(s.Uid), int(s.Gid)) // only root can give a file away
		}
	}
	if q.Mode != nil {
		mode = fs.FileMode(*q.Mode)
	}
	return file.Chmod(mode)
}
