// Package passkeytest is a device that holds a passkey (WebAuthn §6), for tests.
package passkeytest
