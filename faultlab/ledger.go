package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// ledger is a log that somebody appends to: one JSON object a line.
type ledger[T any] struct {
	path string

	mu   sync.Mutex
	file *os.File
	text *bufio.Writer
	err  error // the first
}

func newLedger[T any](path string) (*ledger[T], error) {
	file, err := os.Create(path) //nolint:gosec // in our own directory
	if err != nil {
		return nil, err
	}
	return &ledger[T]{path: path, file: file, text: bufio.NewWriter(file)}, nil
}

func (l *ledger[T]) write(line T) {
	text, err := json.Marshal(line)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		_, err = l.text.Write(append(text, '\n'))
	}
	if l.err == nil {
		l.err = err
	}
}

// read gives what was written so far.
func (l *ledger[T]) read() ([]T, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = l.text.Flush()
	}
	if l.err != nil {
		return nil, l.err
	}
	file, err := os.Open(l.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var lines []T
	for decoder := json.NewDecoder(bufio.NewReader(file)); ; {
		var line T
		if err := decoder.Decode(&line); errors.Is(err, io.EOF) {
			return lines, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", l.path, err)
		}
		lines = append(lines, line)
	}
}

func (l *ledger[T]) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.err, l.text.Flush(), l.file.Close())
}

// publication is one try to publish one event, as the publisher saw it. Times are
// real, from the start of the run.
type publication struct {
	N       int           `json:"n"` // which event; its person is N modulo people
	Start   time.Duration `json:"start"`
	End     time.Duration `json:"end"`
	Outcome outcome       `json:"outcome"`
}

type outcome string

const (
	acknowledged outcome = "ok"      // 202
	refused      outcome = "fail"    // another answer
	unknown      outcome = "unknown" // none
)

// arrival is one message as a receiver saw it.
type arrival struct {
	N      int           `json:"n"`
	ID     string        `json:"jti"`
	Said   string        `json:"said"` // hash over all that must be the same at every try
	At     time.Duration `json:"at"`
	Status int           `json:"status"` // answered; 0: nothing
}
