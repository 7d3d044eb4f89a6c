// Package account knows the people: who they are, how they prove it, and
// whether they are still there.
//
// It owns accounts with their profile, the identifiers people sign in with,
// passwords and what makes a good one, identities at providers of others, the throttling of attempts, and the
// known-device token; the tables account, account_identifier, account_identity, password,
// throttle and account_gone are its own.
//
// It does not own sessions, grants or consents. Whoever disables or deletes a
// person, or changes a password, ends those in the same transaction; that is
// why these functions take one. It does not know pairwise subjects either: it
// gives out a Ref, the random handle they are made of.
//
// An account is active or disabled. A deleted one has no row; what is left is a
// fingerprint of its handle, which like that of a disabled person is kept in
// memory, so that a subject of somebody who is gone is recognised without a
// query (gone.go).
//
// Everything that a person can attempt with a password goes through one way in
// (signin.go): an attempt is counted before it is evaluated, in the statement
// that decides whether it may be, so attempts sent side by side gain nothing.
package account
