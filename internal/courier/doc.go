// Package courier tells subsystems what happened: it turns happenings of the
// platform and events of publishers into one message for each receiver, under the
// receiver's own pairwise subject, and brings it there.
//
// It owns the streams of events (tables event_stream, event_stream_without,
// event_publication), the endpoints for publishers and receivers, and sending.
// The queue is internal/outbox; the keys and the forms of tokens are
// internal/mint; where requests may go is internal/outgoing.
//
// # From an event to a message
//
// The group says who may receive a type of event; what a stream asks for narrows
// it. Third parties, and whoever is declared with require_grant, hear only of
// people who hold a consent or a grant there. Happenings are taken and their
// messages are added in one transaction, an event of a publisher brings its
// messages in the transaction that accepts it: each exactly once. A message is
// sealed, so that nobody reads pairwise subjects in the database.
//
// # From a message to its receiver
//
// Streams fall into 16 buckets. A process sends for the buckets it holds a lease
// of (7.5 seconds, renewed every 1.5), so that a process that dies is replaced within
// 10 seconds and two never send the same for longer than a request lasts.
// Each stream has its own lane: up to 8 requests at a time, those about one
// person in order. Nothing a receiver does delays another receiver. What came of
// the requests is written down together, every 25 ms while there are any: a process
// that is killed has sent that much twice.
//
//	answer                       message                         stream
//	200, 202, 204                done
//	400                          dead
//	429, 503 with Retry-After    again then                      waits as long
//	401, 403, 404, 410           again on the slow schedule      waits; paused after 24 hours of it
//	other, or none               again on the fast schedule      waits if nothing gets through
//
// A message that has failed for 3 days is dead; a logout token after 10 minutes.
// The dead are kept for 30 days and can be sent again: sekisho events resend.
// Every try has the same jti and says the same; tokens are signed when they are
// sent, so that a message may wait across a rotation of keys.
//
// # Back-channel logout
//
// A client with a backchannel_logout_uri has a stream without a row, named
// "logout:" and its id, that carries nothing but logout tokens.
//
// # Services
//
// A service that receives events about sessions and accounts finds in them, as
// callers, the person as each subsystem knows them that may call it. Its resource
// server refuses their tokens from then on, without asking anybody.
package courier
