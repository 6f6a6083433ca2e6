// Command execd owns the processes of one place and serves them to ws-mcp; PROTOCOL.md is its contract.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

const version = "0.1.0" // its own: raised with this program only, since each one comes in a volume of its own

const (
	verifierName = "WSMCP_VERIFIER"
	stopGrace    = 8 * time.Second // for TERM: engines kill a container after 10 s
	gcPercent    = 30              // what execd holds are a few large buffers, cheap to scan and dear to hold twice
	maxThreads   = 2               // of Go code at once: execd moves bytes, its processes need the processors
)

func main() {
	command, args := "", os.Args[1:]
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	var err error
	switch command {
	case "serve":
		err = serve(args)
	case "attach":
		err = attachCommand(args)
	case "share":
		err = share(args)
	case "hold":
		err = hold(args)
	case "version":
		fmt.Println(version)
	default:
		err = errors.New("usage: execd serve --dir DIR --place ID [-- ARGV...] | execd attach --dir DIR | execd share DIR | execd hold | execd version")
	}
	var running alreadyRunning
	switch {
	case errors.As(err, &running):
		fmt.Fprintln(os.Stderr, "execd:", err)
	case err != nil:
		fmt.Fprintln(os.Stderr, "execd:", oneLine(err.Error()))
		os.Exit(1)
	}
}

func attachCommand(args []string) error {
	flags := flag.NewFlagSet("attach", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	dir := flags.String("dir", "", "directory of the socket")
	waitMs := flags.Int64("wait-ms", 5000, "how long to try")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return attach(*dir, time.Duration(min(max(*waitMs, 0), maxWaitMs))*time.Millisecond, os.Stdin, os.Stdout)
}

// share lets every user make files in a directory, and only its owner change one. A place of another user than root has
// no program that root could be asked to run, but this one.
func share(args []string) error {
	if len(args) != 1 {
		return errors.New("share needs one directory")
	}
	return os.Chmod(args[0], os.ModeSticky|0o777)
}

// serveFlags is the command line of serve.
type serveFlags struct {
	dir, place string
	limits     limits
	isDetached bool
	isGated    bool // the main command waits for a release
	readyFd    int  // where a detached execd says that it listens
	argv       []string
}

func parseServe(args []string) (f serveFlags, err error) {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	milliseconds := func(name string, value int64) *int64 { return flags.Int64(name, value, "milliseconds") }
	flags.StringVar(&f.dir, "dir", "", "directory of the socket")
	flags.StringVar(&f.place, "place", "", "id of the place")
	flags.IntVar(&f.limits.keepEnded, "keep-ended", 100, "ended processes of one chat")
	flags.Int64Var(&f.limits.maxOutput, "max-output-bytes", 64<<20, "bytes of all outputs")
	keepEnded := milliseconds("keep-ended-ms", 15*60*1000)
	keepReceipts := milliseconds("keep-receipts-ms", 24*60*60*1000)
	lingerGrace := milliseconds("linger-grace-ms", 500)
	idle := milliseconds("idle-ms", 60*1000)
	flags.BoolVar(&f.isDetached, "detach", false, "go on in the background")
	flags.BoolVar(&f.isGated, "gated", false, "let the command wait for a release")
	flags.IntVar(&f.readyFd, "ready-fd", 0, "set by --detach")
	if err = flags.Parse(args); err != nil {
		return f, err
	}
	f.argv, f.isDetached = flags.Args(), f.isDetached && f.readyFd == 0
	for _, number := range []int64{int64(f.limits.keepEnded), f.limits.maxOutput, *keepEnded, *keepReceipts, *lingerGrace, *idle} {
		if number < 0 || number > maxWaitMs {
			return f, fmt.Errorf("the limit %d is out of range", number)
		}
	}
	f.limits.keepEndedFor = time.Duration(*keepEnded) * time.Millisecond
	f.limits.keepReceiptsFor = time.Duration(*keepReceipts) * time.Millisecond
	f.limits.lingerGrace = time.Duration(*lingerGrace) * time.Millisecond
	f.limits.idle = time.Duration(*idle) * time.Millisecond
	switch {
	case f.dir == "" || !isPlainID(f.place):
		err = fmt.Errorf("serve needs --dir, and --place of 1 to %d letters, digits, _ or -", maxProcessID)
	case f.isDetached && len(f.argv) > 0:
		err = errors.New("an entry point cannot be detached")
	case f.isGated && len(f.argv) == 0:
		err = errors.New("--gated needs a command that is to wait")
	}
	return f, err
}

func takeVerifier() (verifier [sha256.Size]byte, err error) {
	text := os.Getenv(verifierName)
	if n, err := hex.Decode(verifier[:], []byte(cutText(text, 2*sha256.Size))); err != nil || n != sha256.Size || len(text) != 2*sha256.Size {
		return verifier, fmt.Errorf("%s must hold the SHA-256 of the secret, 64 hex digits", verifierName)
	}
	return verifier, nil
}

func serve(args []string) error {
	f, err := parseServe(args)
	if err != nil {
		return err
	}
	if f.isDetached {
		return detach(args)
	}
	var ready *os.File
	if f.readyFd > 2 {
		syscall.CloseOnExec(f.readyFd)
		ready = os.NewFile(uintptr(f.readyFd), "ready")
	}
	s, err := openServer(f)
	if ready != nil {
		if fmt.Fprint(ready, readyText(err)); err == nil {
			ready.Close()
		}
	}
	if err != nil {
		return err
	}
	keepThreads(spareThreads)
	if len(f.argv) > 0 {
		s.main = newMain(s.registry, f.argv)
		if !f.isGated {
			_ = s.main.release() // only one that is stopping refuses
		}
	}
	s.run()
	return nil
}

// openServer makes a server that listens.
func openServer(f serveFlags) (*server, error) {
	verifier, err := takeVerifier()
	if err != nil {
		return nil, err
	}
	debug.SetGCPercent(gcPercent)
	runtime.GOMAXPROCS(min(runtime.GOMAXPROCS(0), maxThreads))
	score := openOomScore()
	harden()
	s := newServer(nil, verifier)
	if err := s.listen(f.dir); err != nil {
		return nil, err
	}
	old := &hunt{find: func() []member { return leftovers(f.place) }}
	old.run(syscall.SIGKILL, 0)
	s.registry = newRegistry(f.place, f.limits, ownEnvironment(), startReaper(score))
	ignored, stop := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(ignored, syscall.SIGHUP, syscall.SIGPIPE) // not by Ignore, which children would inherit
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stop
		s.registry.stop(stopGrace)
		s.exitSoon()
	}()
	return s, nil
}

// ownEnvironment is what processes get from execd.
func ownEnvironment() (environment []string) {
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "WSMCP_") {
			environment = append(environment, entry)
		}
	}
	return environment
}

const readyWord = "listening"

func readyText(err error) string {
	if err == nil {
		return readyWord
	}
	return err.Error()
}

// detach starts execd again in a session of its own, without our streams, and waits until it listens.
func detach(args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	null, err := devNull()
	if err != nil {
		return err
	}
	var ends [2]int
	if err := makePipe(&ends); err != nil {
		return err
	}
	argv := append([]string{os.Args[0], "serve", "--ready-fd", "3"}, args...)
	_, err = syscall.ForkExec(self, argv, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{uintptr(null), uintptr(null), uintptr(null), uintptr(ends[1])},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	syscall.Close(ends[1])
	if err != nil {
		return err
	}
	text, err := io.ReadAll(os.NewFile(uintptr(ends[0]), "ready"))
	switch {
	case err != nil:
		return err
	case strings.HasPrefix(string(text), "already running"):
		fmt.Fprintln(os.Stderr, "execd:", string(text))
		return nil
	case string(text) != readyWord:
		return errors.New(or(nonEmpty(string(text)), "execd ended before it listened"))
	}
	return nil
}

func nonEmpty(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
