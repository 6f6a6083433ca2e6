package main

import (
	"slices"
	"time"
)

// noteEnded, under the lock, keeps an ended process, and not too many of its chat.
func (r *registry) noteEnded(p *process) {
	r.lessRunning(p.chat)
	r.ended = append(r.ended, p)
	if r.endedOf[p.chat]++; r.endedOf[p.chat] > r.limits.keepEnded {
		r.retire(slices.IndexFunc(r.ended, func(old *process) bool { return old.chat == p.chat }))
	}
}

// retire makes a receipt of an ended process.
func (r *registry) retire(i int) {
	p := r.ended[i]
	r.ended = slices.Delete(r.ended, i, i+1)
	if r.endedOf[p.chat]--; r.endedOf[p.chat] == 0 {
		delete(r.endedOf, p.chat)
	}
	p.becomeReceipt()
	if r.receipts = append(r.receipts, p); len(r.receipts) > maxReceipts {
		r.dropReceipt()
	}
}

// dropReceipt forgets the oldest process for good.
func (r *registry) dropReceipt() {
	p := r.receipts[0]
	r.receipts = slices.Delete(r.receipts, 0, 1)
	r.forget(p)
	r.events.emit(event{Event: "forgotten", Process: p.id, Chat: p.chat})
}

// sweep makes receipts of what ended long ago, forgets receipts that are old, and says how many starts there were.
func (r *registry) sweep(now time.Time) (starts int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.ended) > 0 && now.Sub(r.ended[0].endedAt) > r.limits.keepEndedFor {
		r.retire(0)
	}
	for len(r.receipts) > 0 && now.Sub(r.receipts[0].endedAt) > r.limits.keepReceiptsFor {
		r.dropReceipt()
	}
	return r.starts
}

// makeRoom frees memory until growth more bytes fit into what all outputs may hold, and says whether they do: first
// the tails of ended processes go, oldest first, then their heads, then the largest tails are halved.
func (r *registry) makeRoom(growth int) bool {
	fits := func() bool { return r.held.Load()+int64(growth) <= r.limits.maxOutput }
	if fits() {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, withHead := range []bool{false, true} {
		for _, p := range r.ended {
			if fits() {
				return true
			}
			p.mu.Lock()
			if p.last == "" {
				p.keepLast()
			}
			p.shrinkTo(func(o *output) { o.drop(withHead) })
			p.mu.Unlock()
		}
	}
	for !fits() {
		largest, size := (*process)(nil), leastTail
		for _, p := range r.byID {
			p.mu.Lock()
			if ring := max(len(p.out.ring), len(p.err.ring)); ring > size {
				largest, size = p, ring
			}
			p.mu.Unlock()
		}
		if largest == nil {
			return false
		}
		largest.mu.Lock()
		largest.shrinkTo(func(o *output) {
			if len(o.ring) > size/2 {
				o.shrink(max(size/2, leastTail))
			}
		})
		largest.mu.Unlock()
	}
	return true
}
