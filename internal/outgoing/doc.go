// Package outgoing is the one HTTP client for addresses that somebody else
// chose: webhooks, push endpoints, logout addresses. Whoever may name such an
// address must not be able to reach what only this machine can reach, nor to
// learn from the answers what is there.
//
// It owns the policy of where requests may go (CheckURL at registration, and
// again on the resolved address at each connection), the limits of time and
// size, and the one error text for everything that goes wrong on the way. It
// does not judge answers and tries nothing twice; that is its users' part.
package outgoing
