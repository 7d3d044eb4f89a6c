// Package outbox keeps what has to be told to others until it was told: what
// happened on the platform, and the messages for each stream of events with what
// became of them.
//
// It owns the tables outbox_happening, delivery, delivery_count and
// delivery_lease. It does not know who receives what, what a message looks like
// or how it travels: that is internal/courier. What it holds of a message is
// sealed by its user.
//
// # Happenings
//
// Append writes a happening in the transaction that causes it: no change without
// its news, no news without the change. TakeHappenings removes them in the
// transaction that adds the deliveries made of them, so that each is turned into
// deliveries exactly once.
//
// # Deliveries
//
//	pending --Done--> done --Replay--> pending
//	        --Bury--> dead --Resend--> pending
//	        --Retry-> pending, due later
//
// Every change is conditional on the state, so of two who settle the same
// delivery one does. Deliveries of one Key go in the order of Seq: only the
// first that is pending is ever due, and when it is settled the next becomes so.
// Seq grows in the order of the commits: who has seen all up to n misses none by
// asking for those after n.
package outbox
