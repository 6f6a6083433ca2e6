//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func newProbing(t *testing.T) *client {
	_, dial := pipeServer(t)
	c := newClient(t, dial(t))
	c.hello(nil)
	return c
}

// freePort is one at which nothing listens.
func freePort(t *testing.T) int {
	listener := listenAt(t, netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func listenAt(t *testing.T, at netip.AddrPort) net.Listener {
	listener, err := net.Listen("tcp", at.String())
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	return listener
}

// answering is a server that says what number its connection has, and gives its port.
func answering(t *testing.T, answer func(stream net.Conn, number int64)) int {
	listener := listenAt(t, netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
	var number atomic.Int64
	go func() {
		for {
			stream, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { stream.Close() })
			go answer(stream, number.Add(1))
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port
}

// saying reads a request and answers it with text.
func saying(text string) func(net.Conn, int64) {
	return func(stream net.Conn, _ int64) {
		for lines := bufio.NewScanner(stream); lines.Scan() && lines.Text() != ""; {
		}
		_, _ = io.WriteString(stream, text)
		stream.Close()
	}
}

func httpAt(port int, within time.Duration) fields {
	return fields{"http": fields{"port": port, "path": "/x?y=%20"}, "timeout_ms": within.Milliseconds()}
}

func TestAProbeWaitsForAPortThatOpensLate(t *testing.T) {
	c := newProbing(t)
	port := freePort(t)
	id := c.send("probe", fields{"tcp": port, "timeout_ms": soon.Milliseconds()})
	c.call("ping", nil)
	listenAt(t, netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(port)))
	r := c.wait(id)
	if r.fields["error"] != nil || r.fields["status"] != nil {
		t.Fatal(r.fields)
	}
}

func TestAProbeTriesUntilTheAnswerIsGood(t *testing.T) {
	c := newProbing(t)
	port := answering(t, func(stream net.Conn, number int64) {
		saying(map[int64]string{1: "", 2: "garbage\r\n", 3: "HTTP/1.1 503 Later\r\n\r\n"}[number]+"HTTP/1.1 204 No Content\r\n\r\n")(stream, number)
	})
	expect(t, "status", c.call("probe", httpAt(port, soon)).number("status"), 204)
}

func TestAProbeAsksAsAUserOfThePublishedPortWould(t *testing.T) {
	c := newProbing(t)
	requests := make(chan string, 1)
	port := answering(t, func(stream net.Conn, _ int64) {
		text := make([]byte, 4096)
		n, _ := stream.Read(text)
		requests <- string(text[:n])
		_, _ = io.WriteString(stream, "HTTP/1.0 200\n")
	})
	expect(t, "status", c.call("probe", httpAt(port, soon)).number("status"), 200)
	expect(t, "request", <-requests, fmt.Sprintf("GET /x?y=%%20 HTTP/1.0\r\nHost: localhost:%d\r\nUser-Agent: ws-mcp\r\n\r\n", port))
}

func TestAProbeThatFailsSaysWhy(t *testing.T) {
	c := newProbing(t)
	const short = 100 * time.Millisecond
	for answer, reason := range map[string]string{
		"HTTP/1.1 404 Not Found\r\n\r\n": "answered with status 404", "HTTP/1.1 500 No\r\n\r\n": "status 500",
		"HTTP/1.1 199 ?\r\n\r\n": "status 199", "HTTP/1.1 400 Bad\r\n\r\n": "status 400",
		"SSH-2.0-OpenSSH\r\n": "no HTTP", "\x00\xff\n": "no HTTP", "HTTP/1.1 99999999999999999999 x\n": "no HTTP", "HTTP/1.1\n": "no HTTP",
		"HTTP/1.1 -20 x\n": "no HTTP", strings.Repeat("x", 1<<20): "no HTTP", "": "without an answer",
	} {
		text := c.fails("not_ready", "probe", httpAt(answering(t, saying(answer)), short))
		if !strings.Contains(text, reason) || len(text) > 300 {
			t.Errorf("%.40q: %q, not %q", answer, text, reason)
		}
	}
	for _, status := range []int{200, 302, 399} {
		port := answering(t, saying(fmt.Sprintf("HTTP/1.1 %d x\r\n\r\n", status)))
		expect(t, "status", c.call("probe", httpAt(port, soon)).number("status"), int64(status))
	}
	silent := answering(t, func(net.Conn, int64) {})
	if text := c.fails("not_ready", "probe", httpAt(silent, short)); !strings.Contains(text, "does not answer GET /x?y=%20") {
		t.Error(text)
	}
	halting := answering(t, func(stream net.Conn, _ int64) { _, _ = io.WriteString(stream, "HTTP/1.1 200") })
	if text := c.fails("not_ready", "probe", httpAt(halting, short)); !strings.Contains(text, "does not answer") {
		t.Error(text)
	}
	c.call("probe", fields{"tcp": silent, "timeout_ms": soon.Milliseconds()})
}

func TestAClosedPortIsToldApartFromOneThatIsOpenInsideOnly(t *testing.T) {
	c := newProbing(t)
	text := c.fails("not_ready", "probe", fields{"tcp": freePort(t), "timeout_ms": 50})
	if !strings.HasPrefix(text, "nothing listens on port ") || !strings.HasSuffix(text, "; tried for 50ms") {
		t.Fatal(text)
	}
	inside := listenAt(t, netip.AddrPortFrom(loopback, 0)).Addr().(*net.TCPAddr).Port
	if ownAddress() == loopback { // nobody is outside
		c.call("probe", fields{"tcp": inside, "timeout_ms": soon.Milliseconds()})
		return
	}
	if text := c.fails("not_ready", "probe", fields{"tcp": inside, "timeout_ms": 50}); !strings.Contains(text, "listen on 0.0.0.0") {
		t.Fatal(text)
	}
}

func TestAProbeThatIsCancelledOrWhoseClientLeavesEndsAtOnce(t *testing.T) {
	c := newProbing(t)
	asked := make(chan bool, 9)
	silent := answering(t, func(net.Conn, int64) { asked <- true })
	for _, probe := range []fields{httpAt(silent, maxProbe), {"tcp": freePort(t), "timeout_ms": maxProbe.Milliseconds()}} {
		id := c.send("probe", probe)
		if probe["http"] != nil {
			<-asked
		}
		c.call("cancel", fields{"target": id})
		expect(t, "outcome", outcome(c.wait(id)), "not_ready")
	}
	leaver := newClient(t, redial(c))
	leaver.hello(nil)
	leaver.send("probe", httpAt(silent, maxProbe))
	<-asked
	leaver.stream.Close()
	eventually(t, "it is gone", func() bool { return c.call("stats", nil).number("connections") == 1 })
}

func TestProbesThatMakeNoSenseAreRefused(t *testing.T) {
	c := newProbing(t)
	for _, f := range []fields{
		{"timeout_ms": 1}, {"tcp": 80}, {"tcp": 80, "timeout_ms": -1}, {"tcp": 80, "timeout_ms": maxProbe.Milliseconds() + 1},
		{"tcp": -1, "timeout_ms": 1}, {"tcp": 1 << 16, "timeout_ms": 1}, {"tcp": 80, "http": fields{"port": 80, "path": "/"}, "timeout_ms": 1},
		{"http": fields{"port": 0, "path": "/"}, "timeout_ms": 1}, {"http": fields{"port": 80}, "timeout_ms": 1},
		{"http": fields{"port": 80, "path": "x"}, "timeout_ms": 1}, {"http": fields{"port": 80, "path": "/a b"}, "timeout_ms": 1},
		{"http": fields{"port": 80, "path": "/\r\nX: y"}, "timeout_ms": 1}, {"http": fields{"port": 80, "path": "/ü"}, "timeout_ms": 1},
		{"http": fields{"port": 80, "path": "/" + strings.Repeat("x", maxURLPath)}, "timeout_ms": 1},
		{"http": fields{"port": 80, "path": "/", "host": "x"}, "timeout_ms": 1}, {"tcp": "80", "timeout_ms": 1},
	} {
		c.fails("bad_request", "probe", f)
	}
}
