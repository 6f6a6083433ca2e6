package main

import "time"

const (
	smallest  = 1 << 10 // first size of a head or tail: enough for most commands
	leastTail = 4 << 10 // kept of each process however little memory there is
)

// output keeps the first and the last bytes of one stream under absolute offsets: [0, len(head)) and
// [tailStart, end). It grows only by what grow was asked for, so that its owner can keep a budget.
type output struct {
	headMax, tailMax int
	head             []byte
	ring             []byte // its length is its size; the newest byte is the one before next
	next             int
	kept             int   // bytes of the ring that hold output
	end              int64 // bytes ever written
	isFinal          bool  // nothing will be written any more
	writtenAt        time.Time
}

type outputRange struct {
	End       int64 `json:"end"`
	HeadEnd   int64 `json:"head_end"`
	TailStart int64 `json:"tail_start"`
	IsFinal   bool  `json:"is_final"`
}

func (o *output) span() outputRange {
	return outputRange{End: o.end, HeadEnd: int64(len(o.head)), TailStart: o.end - int64(o.kept), IsFinal: o.isFinal}
}

// size is the memory held.
func (o *output) size() int { return cap(o.head) + len(o.ring) }

// isInHead says that everything written so far is in the head.
func (o *output) isInHead() bool { return o.end == int64(len(o.head)) }

// wants says to which sizes head and ring should grow so that n more bytes are kept as far as they may be.
func (o *output) wants(n int) (head, ring int) {
	head, ring = cap(o.head), len(o.ring)
	if o.isInHead() {
		head = grown(head, len(o.head)+n, o.headMax)
		n -= head - len(o.head)
	}
	if n > 0 {
		ring = grown(ring, o.kept+n, o.tailMax)
	}
	return head, ring
}

// grown doubles size until needed bytes fit, up to limit.
func grown(size, needed, limit int) int {
	if needed <= size || size >= limit {
		return size
	}
	return min(max(2*size, needed, smallest), limit)
}

// resize gives head and ring these sizes. A smaller ring keeps the newest bytes.
func (o *output) resize(head, ring int) {
	if head > cap(o.head) {
		o.head = append(make([]byte, 0, head), o.head...)
	}
	if ring != len(o.ring) {
		kept := min(o.kept, ring)
		moved := o.copyTail(make([]byte, 0, ring), o.end-int64(kept), o.end)
		o.ring, o.kept, o.next = moved[:ring], kept, kept
		if o.next == ring {
			o.next = 0
		}
	}
}

// shrink lowers the limit of the tail for good.
func (o *output) shrink(ring int) {
	o.tailMax = ring
	o.resize(0, ring)
}

// write keeps what its present sizes allow; dropped bytes count.
func (o *output) write(b []byte) {
	if o.isInHead() {
		n := min(len(b), cap(o.head)-len(o.head))
		o.head = append(o.head, b[:n]...)
		o.end += int64(n)
		b = b[n:]
	}
	o.end += int64(len(b))
	if size := len(o.ring); size > 0 {
		b = b[max(0, len(b)-size):]
		n := copy(o.ring[o.next:], b)
		copy(o.ring, b[n:])
		o.next = (o.next + len(b)) % size
		o.kept = min(o.kept+len(b), size)
	}
}

// window is the range that a reader at offset gets, at most limit bytes and never across the gap of what was
// dropped; missed bytes lie between offset and its start.
func (o *output) window(offset int64, limit int) (start, end, missed int64) {
	span := o.span()
	start, end = offset, span.End
	if span.HeadEnd < span.TailStart {
		switch {
		case offset < span.HeadEnd:
			end = span.HeadEnd
		case offset < span.TailStart:
			start = span.TailStart
		}
	}
	return start, min(end, start+int64(limit)), start - offset
}

// lastWindow is where the last n kept bytes begin.
func (o *output) lastWindow(n int) int64 {
	span := o.span()
	oldest := span.TailStart
	if span.HeadEnd == span.TailStart {
		oldest = 0
	}
	return max(oldest, span.End-int64(n))
}

// appendTo appends the bytes [start, end) of a window.
func (o *output) appendTo(b []byte, start, end int64) []byte {
	if head := int64(len(o.head)); start < head {
		b = append(b, o.head[start:min(end, head)]...)
		start = head
	}
	return o.copyTail(b, start, end)
}

func (o *output) copyTail(b []byte, start, end int64) []byte {
	if start >= end {
		return b
	}
	size := len(o.ring)
	at := (o.next - int(o.end-start) + 2*size) % size
	n := int(end - start)
	first := min(n, size-at)
	b = append(b, o.ring[at:at+first]...)
	return append(b, o.ring[:n-first]...)
}

// drop gives up what is kept: the tail, or everything.
func (o *output) drop(withHead bool) {
	o.ring, o.next, o.kept = nil, 0, 0
	o.tailMax = 0
	if withHead {
		o.head, o.headMax = nil, 0
	}
}
