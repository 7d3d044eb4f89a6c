// Package signin is the door for browsers: the authorization endpoint, the
// pages where a person signs in, signs up, consents and signs out, and the page
// of their account.
//
// It owns the table signin_request: authorization requests that wait for a
// person. It does not own people, sessions, consents or grants, and it makes no
// token: it asks the rooms below and decides which page comes next.
//
// An authorization request passes a table of checks (authorize.go). A line is
// drawn through that table: above it an error is shown to the person, below it
// the client is told by redirect. A request that passed is at one of these
// steps, and the pure function next says at which:
//
//	sign in · sign up · choose an account · consent · finish
//
// A page posts to its own handler, the handler changes what it is there to
// change and returns to next. Pages never lead to each other.
//
//	asked ──> waiting (stored, 30 minutes) ──> finished: a code, the row is gone
//	   └────────────> finished                └──> refused or expired: the row is gone
package signin
