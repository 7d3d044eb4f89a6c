// Package load is who uses the servers of a run: people with browsers, and the
// subsystems of a small group. Walkers sign people in, redeem and refresh,
// exchange, introspect and revoke, through a balancer that knows every replica, and
// write down each request with what came of it.
//
// Check holds these records against what was promised. It knows nothing else: not
// the database, and nothing of the server's own opinion.
package load
