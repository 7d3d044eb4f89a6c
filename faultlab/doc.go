// Command faultlab runs rows of the reliability programme (docs/reliability.md):
// it starts the real server as processes of their own, loads them, breaks
// something, and looks whether what was promised was kept.
//
//	go run ./faultlab list
//	go run ./faultlab F13
//	go run ./faultlab -short F13 F14
//	go run ./faultlab -database postgres://… -seed 7 F14
//
// It owns the rows, the receivers that misbehave, the publisher, and the checker.
// Publisher and receivers write what they saw into logs; the checker knows nothing
// but these logs and the final database. A run prints its seed, its operations,
// those whose outcome nobody learnt (unknowns), and the violations; with one or
// more of these it ends with status 1.
//
// All is on loopback, each receiver at an address of its own in 127.0.0.0/8, as
// Linux has it. The server is built with the tag faultlab, which gives it a clock
// that can be moved, and nothing else; the programme that is shipped has none.
package main
