package main

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// check compares what is kept with everything that was ever written.
func (o *output) check(t *testing.T, all []byte) {
	t.Helper()
	span := o.span()
	expect(t, "end", span.End, int64(len(all)))
	if span.HeadEnd > span.TailStart || span.TailStart > span.End {
		t.Fatalf("ranges out of order: %+v", span)
	}
	if head := o.appendTo(nil, 0, span.HeadEnd); !bytes.Equal(head, all[:span.HeadEnd]) {
		t.Fatal("the head is wrong")
	}
	if tail := o.appendTo(nil, span.TailStart, span.End); !bytes.Equal(tail, all[span.TailStart:]) {
		t.Fatal("the tail is wrong")
	}
}

func TestOutputKeepsExactlyItsFirstAndLastBytes(t *testing.T) {
	for seed := range uint64(300) {
		chance := rand.New(rand.NewPCG(seed, 0))
		sizes := []int{0, 1, 7, 100, 5000, 20000}
		o := output{headMax: sizes[chance.IntN(len(sizes))], tailMax: sizes[chance.IntN(len(sizes))]}
		var all []byte
		for range chance.IntN(60) {
			b := make([]byte, chance.IntN([]int{3, 300, 30000}[chance.IntN(3)]))
			for i := range b {
				b[i] = byte(chance.Uint32())
			}
			o.resize(o.wants(len(b)))
			o.write(b)
			all = append(all, b...)
			o.check(t, all)
			span := o.span()
			expect(t, "head", span.HeadEnd, int64(min(len(all), o.headMax)))
			expect(t, "tail", span.TailStart, int64(max(min(len(all), o.headMax), len(all)-o.tailMax)))
			offset := chance.Int64N(span.End + 1)
			limit := 1 + chance.IntN(9000)
			start, end, missed := o.window(offset, limit)
			if start-offset != missed || end < start || end-start > int64(limit) {
				t.Fatalf("window [%d, %d) missed %d at %d", start, end, missed, offset)
			}
			if !bytes.Equal(o.appendTo(nil, start, end), all[start:end]) {
				t.Fatal("a window has wrong bytes")
			}
			if start == end && start < span.End {
				t.Fatalf("nothing at %d of %+v", offset, span)
			}
		}
	}
}

func TestOutputStaysExactWhenMemoryIsRefusedOrTakenAway(t *testing.T) {
	for seed := range uint64(300) {
		chance := rand.New(rand.NewPCG(seed, 1))
		o := output{headMax: 10000, tailMax: 50000}
		var all []byte
		for range 60 {
			b := bytes.Repeat([]byte{byte(chance.Uint32())}, chance.IntN(9000))
			switch chance.IntN(12) {
			case 0:
				o.shrink(max(len(o.ring)/2, 100))
			case 1:
				o.drop(chance.IntN(2) == 0)
			case 2, 3, 4: // refused
			default:
				o.resize(o.wants(len(b)))
			}
			o.write(b)
			all = append(all, b...)
			o.check(t, all)
			if o.size() > 60000 {
				t.Fatalf("it holds %d bytes", o.size())
			}
		}
	}
}

func TestAWindowNeverSpansTheGap(t *testing.T) {
	o := output{headMax: 10, tailMax: 10}
	o.resize(o.wants(100))
	for i := range 100 {
		o.write([]byte{byte(i)})
	}
	for _, row := range []struct{ offset, start, end, missed int64 }{
		{0, 0, 10, 0}, {9, 9, 10, 0}, {10, 90, 100, 80}, {50, 90, 100, 40}, {90, 90, 100, 0}, {99, 99, 100, 0}, {100, 100, 100, 0},
	} {
		start, end, missed := o.window(row.offset, 1000)
		expect(t, "window", [3]int64{start, end, missed}, [3]int64{row.start, row.end, row.missed})
	}
	expect(t, "last window", o.lastWindow(3), 97)
	expect(t, "last window", o.lastWindow(1000), 90)
}

func TestNothingIsHeldBeforeSomethingIsWritten(t *testing.T) {
	o := output{headMax: 65536, tailMax: 1 << 20}
	expect(t, "held", o.size(), 0)
	o.resize(o.wants(10))
	expect(t, "held after ten bytes", o.size(), smallest)
}
