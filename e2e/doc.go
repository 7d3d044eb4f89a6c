// Package e2e tests Sekisho as a black box: the built program, started as an
// operator starts it, called by clients nobody here wrote (go-oidc and
// x/oauth2), by a real Chromium, and by the SDK. Everything is in its tests.
package e2e
