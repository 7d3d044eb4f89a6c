package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLogBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := &logBuffer{to: &out}
		_, _ = log.Write([]byte("one\n"))
		_, _ = log.Write([]byte("two\n"))
		if out.Len() != 0 {
			t.Errorf("written at once: %q", out.String())
		}
		time.Sleep(logDelay)
		synctest.Wait()
		if got := out.String(); got != "one\ntwo\n" {
			t.Errorf("after the delay: %q", got)
		}

		_, _ = log.Write([]byte("last\n"))
		if err := log.Flush(); err != nil || !strings.HasSuffix(out.String(), "last\n") {
			t.Errorf("after Flush: %q, %v", out.String(), err)
		}

		out.Reset()
		line := bytes.Repeat([]byte("x"), logBufferSize/2)
		_, _ = log.Write(line)
		_, _ = log.Write(line)
		if out.Len() != logBufferSize {
			t.Errorf("a full buffer was not written: %d bytes", out.Len())
		}
	})
}
