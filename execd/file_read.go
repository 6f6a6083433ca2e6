package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"
)

const (
	sizelessBytes = 64 << 10 // what a read gives of a file without a size, as those of /proc are
	defaultListed = 1000
	maxListed     = 10_000
	maxNames      = 1_000_000 // of one directory that are looked at
	namesAtOnce   = 1024
	entryBytes    = 120 // an entry without its name, as JSON
	escapedBytes  = 6   // the most that a byte of a name becomes in JSON
)

type statRequest struct {
	envelope
	location
}

type readFileRequest struct {
	envelope
	location
	Offset int64 `json:"offset"`
	Limit  *int  `json:"limit"`
}

type listDirectoryRequest struct {
	envelope
	location
	Limit *int `json:"limit"`
}

type entryView struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	Size    int64  `json:"size"`
	MtimeMs int64  `json:"mtime_ms"`
}

func opStat(c *conn, q *statRequest, _ []byte) (answer, error) {
	return onFiles(c, &q.location, func(root *os.Root) (answer, error) {
		info, err := root.Stat(q.Path)
		if err != nil {
			return answer{}, err
		}
		return answer{fields: viewOf(info).fields()}, nil
	})
}

func (v fileView) fields() object {
	return object{
		"kind": v.Kind, "size": v.Size, "mode": v.Mode, "uid": v.UID, "gid": v.GID, "mtime_ms": v.MtimeMs,
		"device": v.Device, "inode": v.Inode,
	}
}

func opReadFile(c *conn, q *readFileRequest, _ []byte) (answer, error) {
	limit := or(q.Limit, maxFileBytes)
	if q.Offset < 0 || limit < 1 || limit > maxFileBytes {
		return answer{}, fail("bad_request", "offset is at least 0, limit 1 to %d", maxFileBytes)
	}
	return onFiles(c, &q.location, func(root *os.Root) (answer, error) {
		file, info, err := openRegular(root, q.Path)
		if err != nil {
			return answer{}, err
		}
		defer file.Close()
		buffer := make([]byte, windowOf(info.Size(), q.Offset, limit))
		// ReadAt, since Read would wait where there is nothing to read yet.
		n, err := file.ReadAt(buffer, q.Offset)
		if err != nil && err != io.EOF && !errors.Is(err, syscall.EAGAIN) {
			return answer{}, err
		}
		return answer{fields: viewOf(info).fields(), body: buffer[:n]}, nil
	})
}

// windowOf is how much there is to read at most.
func windowOf(size, offset int64, limit int) int {
	if size == 0 {
		return min(limit, sizelessBytes)
	}
	return int(min(int64(limit), max(size-offset, 0)))
}

// openRegular opens a regular file and nothing else, not even for a moment if it can be helped: opening a device may
// have an effect. What is put there in between does not block.
func openRegular(root *os.Root, path string) (*os.File, fs.FileInfo, error) {
	info, err := root.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, notAFile(path, info.Mode())
	}
	file, err := root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	if info, err = file.Stat(); err == nil && !info.Mode().IsRegular() {
		err = notAFile(path, info.Mode())
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

func opListDirectory(c *conn, q *listDirectoryRequest, _ []byte) (answer, error) {
	limit := or(q.Limit, defaultListed)
	if limit < 1 || limit > maxListed {
		return answer{}, fail("bad_request", "limit is 1 to %d", maxListed)
	}
	return onFiles(c, &q.location, func(root *os.Root) (answer, error) {
		directory, err := root.OpenRoot(q.Path + "/.")
		if err != nil {
			return answer{}, err
		}
		defer directory.Close()
		names, total, err := firstNames(c, directory, limit)
		if err != nil {
			return answer{}, err
		}
		return answer{fields: object{"entries": entriesOf(directory, names), "total": total}}, nil
	})
}

// firstNames gives the first names of a directory in the order of their bytes, and how many there are.
func firstNames(c *conn, directory *os.Root, limit int) (names []string, total int, err error) {
	file, err := directory.Open(".")
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	for err == nil && total < maxNames && !isDone(c.ended) {
		var more []string
		more, err = file.Readdirnames(namesAtOnce)
		total += len(more)
		if names = append(names, more...); len(names) > 2*limit+namesAtOnce {
			slices.Sort(names)
			names = names[:limit]
		}
	}
	if err != nil && err != io.EOF {
		return nil, 0, err
	}
	slices.Sort(names)
	return names[:min(limit, len(names))], total, nil
}

// entriesOf says what the names are, as far as that fits into a frame. What has gone meanwhile is left out.
func entriesOf(directory *os.Root, names []string) []entryView {
	entries, room := make([]entryView, 0, len(names)), maxList
	for _, name := range names {
		if room -= entryBytes + escapedBytes*len(name); room < 0 {
			break
		}
		info, err := directory.Lstat(name)
		switch {
		case err == nil:
			entries = append(entries, entryView{name, kindOf(info.Mode()), info.Size(), info.ModTime().UnixMilli()})
		case !errors.Is(err, fs.ErrNotExist):
			entries = append(entries, entryView{Name: name, Kind: "other"})
		}
	}
	return entries
}
