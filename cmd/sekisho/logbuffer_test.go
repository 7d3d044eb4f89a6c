package main

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

func TestLogBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := &logBuffer{to: &out}
		written := func() string { // a flush may be writing
			log.mu.Lock()
			defer log.mu.Unlock()
			return out.String()
		}
		_, _ = log.Write([]byte("one\n"))
		_, _ = log.Write([]byte("two\n"))
		if got := written(); got != "" {
			t.Errorf("written at once: %q", got)
		}
		time.Sleep(logDelay)
		synctest.Wait()
		if got := written(); got != "one\ntwo\n" {
			t.Errorf("after the delay: %q", got)
		}

		_, _ = log.Write([]byte("last\n"))
		if err := log.Flush(); err != nil || written() != "one\ntwo\nlast\n" {
			t.Errorf("after Flush: %q, %v", written(), err)
		}

		before := len(written())
		line := bytes.Repeat([]byte("x"), logBufferSize/2)
		_, _ = log.Write(line)
		_, _ = log.Write(line)
		if got := len(written()) - before; got != logBufferSize {
			t.Errorf("a full buffer was not written: %d bytes", got)
		}
	})
}
