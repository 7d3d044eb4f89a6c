// Package grant owns what people have given: browser sessions, consents, and
// the grants that clients hold, with the codes and refresh tokens under them
// (tables session, consent, access_grant, authorization_code, refresh_family,
// revocation, revocation_count). They are one tree:
//
//	session > grant > code
//	                > family of refresh tokens
//
// It does not know what an access token looks like, which scopes a client may
// have, or what a page shows; it keeps scopes as they are handed in.
//
// # One notion of alive
//
// A grant is alive until it is ended or has expired, as long as its account is
// active and the password is the one it was given under. What hangs under a
// grant is alive with it. A session that is ended (sign-out, account disabled)
// ends its grants, except those with offline_access; a session that merely runs
// out ends nothing, since the idle limit of a browser says nothing about an
// app that goes on working.
//
// # One Revoke
//
// A grant ends by its row alone: ended_at, set by one conditional statement,
// whichever of the reasons there was. Refresh and Redeem go by that same row, in
// serializable transactions, so they come wholly before or wholly after. Access tokens have no rows;
// what ended is remembered in memory for as long as the longest of them lives,
// from table revocation.
//
// # States
//
// A code: issued, then used (once, within its 60 seconds) or expired. Only a
// right attempt uses it: one by the wrong client, for another redirect URI or
// with a wrong verifier changes nothing. A second right attempt ends the grant.
//
// A family of refresh tokens has one newest token, ever. Using it makes its
// successor, and it becomes the previous one. The previous one, used again
// within 30 seconds and before its successor was, gives that same successor, at
// most twice. Any other token of the family, a third repeat, or a token in
// the hands of another client ends the grant. Tokens of confidential clients
// are kept instead of rotated; each use moves the idle limit.
package grant
