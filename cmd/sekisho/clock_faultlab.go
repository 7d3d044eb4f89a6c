//go:build faultlab && unix

package main

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// clock goes ahead of the machine's by as many nanoseconds as stand in the first
// 8 bytes of the file that SEKISHO_FAULTLAB_CLOCK names. All processes of a run
// share the file, so the clock is set for all of them at one moment.
func clock() (func() time.Time, error) {
	path := os.Getenv("SEKISHO_FAULTLAB_CLOCK")
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path) //nolint:gosec // the tester names it
	if err != nil {
		return nil, fmt.Errorf("SEKISHO_FAULTLAB_CLOCK: %w", err)
	}
	defer file.Close()
	page, err := syscall.Mmap(int(file.Fd()), 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("SEKISHO_FAULTLAB_CLOCK: %w", err)
	}
	ahead := (*int64)(unsafe.Pointer(&page[0])) //nolint:gosec // a page is aligned
	return func() time.Time { return time.Now().Add(time.Duration(atomic.LoadInt64(ahead))) }, nil
}
