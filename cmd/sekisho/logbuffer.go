package main

import (
	"io"
	"sync"
	"time"
)

const (
	logBufferSize = 64 << 10
	logDelay      = 50 * time.Millisecond
)

// logBuffer gathers log lines and writes them together, at the latest after
// logDelay: a write of its own for each request would cost as much as the rest
// of serving a key set. It is no place for what must not be lost; that is the
// audit log's.
type logBuffer struct {
	to io.Writer

	mu      sync.Mutex
	lines   []byte
	waiting bool // a flush is due
}

// Write takes whole lines.
func (b *logBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, line...)
	if len(b.lines) >= logBufferSize {
		return len(line), b.flush()
	}
	if !b.waiting {
		b.waiting = true
		time.AfterFunc(logDelay, func() { _ = b.Flush() }) // a log that cannot be written has nowhere to say so
	}
	return len(line), nil
}

// Flush writes what was gathered.
func (b *logBuffer) Flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = false
	return b.flush()
}

func (b *logBuffer) flush() error {
	if len(b.lines) == 0 {
		return nil
	}
	_, err := b.to.Write(b.lines)
	b.lines = b.lines[:0]
	return err
}
