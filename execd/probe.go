package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	maxProbe       = 10 * time.Minute
	maxURLPath     = 1024
	maxStatusLine  = 1024
	probeTryWithin = 5 * time.Second // for one try: a server that never answers may be one that was asked too early
	probeSoon      = 10 * time.Millisecond
	probeSeldom    = 250 * time.Millisecond
	probeJudges    = time.Second // a try that is cut off earlier says less than the one before
)

// cutOffError is about a try whose time was over.
type cutOffError struct{ error }

type probeRequest struct {
	envelope
	TCP       int        `json:"tcp"`
	HTTP      *httpProbe `json:"http"`
	TimeoutMs int64      `json:"timeout_ms"`
}

type httpProbe struct {
	Port int    `json:"port"`
	Path string `json:"path"`
}

func (q *probeRequest) check() error {
	port := q.TCP
	if q.HTTP != nil {
		port = q.HTTP.Port
	}
	switch {
	case (q.TCP != 0) == (q.HTTP != nil):
		return fail("bad_request", "a probe is either tcp or http")
	case port < 1 || port > 1<<16-1:
		return fail("bad_request", "a port is 1 to 65535")
	case q.TimeoutMs < 1 || q.TimeoutMs > maxProbe.Milliseconds():
		return fail("bad_request", "timeout_ms is 1 to %d", maxProbe.Milliseconds())
	case q.HTTP != nil && !isURLPath(q.HTTP.Path):
		return fail("bad_request", "a path of http begins with / and has at most %d printable ASCII characters and no space", maxURLPath)
	}
	return nil
}

func isURLPath(text string) bool {
	return strings.HasPrefix(text, "/") && len(text) <= maxURLPath && !strings.ContainsFunc(text, func(r rune) bool {
		return r <= ' ' || r > '~'
	})
}

// opProbe tries until a server is there or the time is over.
func opProbe(c *conn, q *probeRequest, _ []byte) (answer, error) {
	if err := q.check(); err != nil {
		return answer{}, err
	}
	return answer{later: func(cancel <-chan struct{}) (answer, error) {
		within := time.Duration(q.TimeoutMs) * time.Millisecond
		ctx, stop := context.WithTimeout(context.Background(), within)
		defer stop()
		go func() {
			select {
			case <-cancel:
			case <-c.ended:
			case <-ctx.Done():
			}
			stop()
		}()
		return q.run(ctx, within)
	}}, nil
}

func (q *probeRequest) run(ctx context.Context, within time.Duration) (answer, error) {
	port, try := q.TCP, q.connects
	if q.HTTP != nil {
		port, try = q.HTTP.Port, q.answers
	}
	var reason error
	for pause := probeSoon; ; pause = min(2*pause, probeSeldom) {
		target := netip.AddrPortFrom(ownAddress(), uint16(port))
		began := time.Now()
		one, done := context.WithTimeout(ctx, probeTryWithin)
		fields, err := try(one, target)
		done()
		if err == nil {
			return answer{fields: fields}, nil
		}
		if _, isCut := err.(cutOffError); !isCut || reason == nil || time.Since(began) > probeJudges {
			reason = err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			if errors.Is(reason, syscall.ECONNREFUSED) {
				reason = refusal(target)
			}
			return answer{}, fail("not_ready", "%s; tried for %s", reason, within)
		}
	}
}

func (q *probeRequest) connects(ctx context.Context, target netip.AddrPort) (object, error) {
	stream, err := dial(ctx, target)
	if err != nil {
		return nil, err
	}
	stream.Close()
	return object{}, nil
}

func (q *probeRequest) answers(ctx context.Context, target netip.AddrPort) (object, error) {
	stream, err := dial(ctx, target)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	defer context.AfterFunc(ctx, func() { _ = stream.SetDeadline(time.Now()) })()
	// The name is the one by which whoever uses the published port calls it: some servers refuse others.
	if _, err := fmt.Fprintf(stream, "GET %s HTTP/1.0\r\nHost: localhost:%d\r\nUser-Agent: ws-mcp\r\n\r\n", q.HTTP.Path, q.HTTP.Port); err != nil {
		return nil, fmt.Errorf("port %d closes connections", q.HTTP.Port)
	}
	line, err := bufio.NewReaderSize(stream, maxStatusLine).ReadSlice('\n')
	if isOver(ctx, err) {
		return nil, cutOffError{fmt.Errorf("port %d takes connections but does not answer GET %s", q.HTTP.Port, q.HTTP.Path)}
	}
	status := statusOf(string(line))
	switch {
	case status >= 200 && status < 400:
		return object{"status": status}, nil
	case status > 0:
		return nil, fmt.Errorf("GET %s on port %d is answered with status %d", q.HTTP.Path, q.HTTP.Port, status)
	case len(line) == 0:
		return nil, fmt.Errorf("port %d closes connections without an answer to GET %s", q.HTTP.Port, q.HTTP.Path)
	}
	return nil, fmt.Errorf("port %d answers GET %s with what is no HTTP", q.HTTP.Port, q.HTTP.Path)
}

// statusOf reads the first line of an HTTP answer; 0 is none.
func statusOf(line string) int {
	version, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	code, _, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	if !strings.HasPrefix(version, "HTTP/") || err != nil || status < 100 || status > 999 {
		return 0
	}
	return status
}

func dial(ctx context.Context, target netip.AddrPort) (net.Conn, error) {
	stream, err := new(net.Dialer).DialTCP(ctx, "tcp", netip.AddrPort{}, target)
	switch {
	case err == nil:
		return stream, nil
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, err
	case isOver(ctx, err):
		return nil, cutOffError{fmt.Errorf("port %d does not take connections", target.Port())}
	}
	return nil, fmt.Errorf("port %d cannot be reached: %w", target.Port(), reasonOfDial(err))
}

// isOver says whether the time of a try was over; the stream may know before the context does.
func isOver(ctx context.Context, err error) bool {
	return err != nil && (ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded))
}

// refusal says why nothing answers at the address that a published port leads to.
func refusal(target netip.AddrPort) error {
	inside := netip.AddrPortFrom(loopback, target.Port())
	if target != inside {
		ctx, done := context.WithTimeout(context.Background(), probeSeldom)
		defer done()
		if stream, err := dial(ctx, inside); err == nil {
			stream.Close()
			return fmt.Errorf("port %d is open on 127.0.0.1 only, which cannot be reached from outside: let the server listen on 0.0.0.0", target.Port())
		}
	}
	return fmt.Errorf("nothing listens on port %d", target.Port())
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// ownAddress is what a published port leads to: the first address that is no loopback, before all of IPv4.
func ownAddress() netip.Addr {
	found := loopback
	addresses, _ := net.InterfaceAddrs()
	for _, address := range addresses {
		network, isNetwork := address.(*net.IPNet)
		if !isNetwork {
			continue
		}
		ip, _ := netip.AddrFromSlice(network.IP)
		if ip = ip.Unmap(); !ip.IsGlobalUnicast() {
			continue
		}
		if ip.Is4() {
			return ip
		}
		if found == loopback {
			found = ip
		}
	}
	return found
}
