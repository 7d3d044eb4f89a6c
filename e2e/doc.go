// Package e2e tests Sekisho as a black box: the built program, started as an
// operator starts it, called by clients nobody here wrote (from Go, npm, Apache
// and nginx), by a real Chromium, and by the SDK. Everything is in its tests.
package e2e
