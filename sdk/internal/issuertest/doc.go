// Package issuertest is a small authorization server for the SDK's own tests
// and examples. It speaks real HTTP and signs with real keys, and it can do
// what the real one never does: publish bad metadata, be away, sign tokens
// that must be refused. It knows people as names: the subject of alice in the
// subsystem pay is "alice.pay".
//
// It is no model of the real server's rules; that one is tested by itself.
package issuertest
