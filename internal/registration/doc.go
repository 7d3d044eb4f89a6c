// Package registration is the door by which a third party registers its clients
// itself: POST /oauth2/register (RFC 7591, OpenID Connect Dynamic Client
// Registration 1.0), and GET, PUT and DELETE of what was registered (RFC 7592).
//
// It owns the client metadata on the wire, which of it is taken, passed over or
// refused, and the errors. It does not know what makes a client good (registry
// holds it against the rules of the group file), nor where it is kept.
//
// The road of a request: who asks, by a bearer token: an initial access token
// that an operator made, or the registration access token of that very client →
// parse the metadata → the registry checks and writes, with its audit record →
// answer with all metadata in force. Nothing that a client names is fetched:
// what would have to be is refused.
package registration
