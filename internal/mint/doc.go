// Package mint turns claims into signed tokens, and tokens back into what they
// say: access tokens, ID tokens, and what is said of events (event.go). It decides the form of a token, never
// whether somebody may have one; that is the business of the doors.
//
// A person's token and a client's own token are two Go types all the way,
// UserToken and ServiceToken going out, User and Service coming back, so that
// no code can take a batch job for a person by forgetting a check.
//
// There is no row per token. What must be known later stands in the token:
// its jti is a sealed reference to the grant and to the first token of the
// chain it stems from (reference.go), readable here only; an opaque token is
// its own claims, sealed (opaque.go). So a token is alive while its signature
// and its times hold, its client is declared, its grant and its chain are not
// revoked, and its person is not gone; all of that is known in memory.
//
// It owns no table and has no state besides three data keys.
package mint
