package main

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// clock is that of the servers: the machine's, and as much ahead as the row has
// moved it. It is a file that the processes of the run map into memory, all of them
// one unless the row has clocks differ.
type clock struct {
	path  string
	ahead *int64
}

func newClock(dir, name string) (*clock, error) {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, make([]byte, 8), 0o600); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0) //nolint:gosec // made above
	if err != nil {
		return nil, err
	}
	defer file.Close()
	page, err := syscall.Mmap(int(file.Fd()), 0, 8, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return &clock{path, (*int64)(unsafe.Pointer(&page[0]))}, nil //nolint:gosec // a page is aligned
}

// now is the time as the servers have it.
func (c *clock) now() time.Time {
	return time.Now().Add(time.Duration(atomic.LoadInt64(c.ahead)))
}

// jump moves the clock of all servers ahead.
func (c *clock) jump(by time.Duration) { atomic.AddInt64(c.ahead, int64(by)) }
