// Package issuer is what the SDK knows of its authorization server: the
// metadata it publishes and the keys it signs with. It owns the discovery
// check (the server must call itself by the configured name), the cache of
// keys, and the reading of a signed token's header; it judges no claims.
//
// Keys go through these states: fresh (used as they are), ageing (used while a
// refresh runs behind), stale (a refresh is waited for; if it fails they are
// used on), and dead (24 hours after the last success, nothing is accepted).
package issuer
