// Package demo is an example group of companies on one authorization server:
// market (the core, a service), pay (a service), market-app (the group's own
// web app), crypto (a backend with its own users), partner (another company)
// and pay's nightly batch. Each is a small real server with its own database
// file and its own user ids, written only on the public packages, so that it
// can be read as the pattern for a real one.
//
// Listen takes the ports and makes fresh credentials; File is the group file
// for the authorization server; Start runs the systems against it. The page
// shows live which token went where and which internal id stands behind each
// subject (Trace). Check plays every scenario over HTTP as a browser would and
// verifies it.
//
// The package owns nothing of the authorization server and imports none of it.
package demo
