//go:build !faultlab

package main

import "time"

// clock is nil: the server goes by the clock of the machine. A build with the
// tag faultlab, which is never shipped, goes by one that a test moves.
func clock() (func() time.Time, error) { return nil, nil }
