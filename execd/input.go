package main

import (
	"errors"
	"os"
	"time"
)

// takeTurn lets writes to a process pass in the order in which they were taken from a connection.
func (p *process) takeTurn() (before <-chan struct{}, done chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, done = p.inputTurn, make(chan struct{})
	p.inputTurn = done
	return before, done
}

// write gives input to the process and says how many bytes it took within inputTimeout.
func (p *process) write(input []byte, andClose bool, before <-chan struct{}, done chan struct{}, cancel <-chan struct{}) (int, error) {
	deadline := time.Now().Add(inputTimeout)
	if before != nil {
		late := time.NewTimer(inputTimeout)
		defer late.Stop()
		isTurn := false
		select {
		case <-before:
			isTurn = true
		case <-cancel:
		case <-late.C:
		}
		if !isTurn {
			go func() { // who comes next still waits for who was before
				<-before
				close(done)
			}()
			return 0, nil
		}
	}
	defer close(done)
	if err := p.checkInput(); err != nil {
		return 0, err
	}
	_ = p.input.SetWriteDeadline(deadline)
	finished, unwatched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(unwatched)
		select {
		case <-cancel:
			_ = p.input.SetWriteDeadline(time.Now())
		case <-finished:
		}
	}()
	written, err := p.writeAll(input, andClose)
	close(finished)
	<-unwatched
	switch {
	case err == nil || errors.Is(err, os.ErrDeadlineExceeded):
		return written, nil
	case p.hasEnded():
		return 0, fail("ended", "process %s has ended", p.id)
	}
	return 0, fail("no_stdin", "process %s has closed its stdin", p.id)
}

func (p *process) checkInput() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.isEnded:
		return fail("ended", "process %s has ended", p.id)
	case p.input == nil:
		return fail("no_stdin", "process %s was started without stdin", p.id)
	case p.isInputClosed:
		return fail("no_stdin", "the stdin of process %s is closed", p.id)
	}
	return nil
}

func (p *process) writeAll(input []byte, andClose bool) (int, error) {
	written := 0
	if len(input) > 0 {
		var err error
		if written, err = p.input.Write(input); written > 0 {
			p.hasOpenLine = input[written-1] != '\n'
		}
		if err != nil {
			return written, err
		}
	}
	if !andClose {
		return written, nil
	}
	if !p.hasTty {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.closeInput()
		return written, nil
	}
	// The first EOT after an unfinished line only hands that line over.
	end := []byte{endOfInput, endOfInput}
	if !p.hasOpenLine {
		end = end[:1]
	}
	p.hasOpenLine = false
	_, err := p.input.Write(end)
	return written, err
}

// closeInput, under the lock of the process, closes a pipe; a terminal stays open as long as it has output.
func (p *process) closeInput() {
	if p.input != nil && !p.hasTty && !p.isInputClosed {
		p.input.Close()
	}
	p.isInputClosed = p.isInputClosed || !p.hasTty
}
