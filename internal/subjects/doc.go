// Package subjects is the door by which a service turns the pairwise subjects
// of those who call it into its own, and back: POST /subjects/convert.
//
// It owns the rules of conversion: who may ask, between which two sectors, for
// which people, and how much in a day. It does not know how subjects are made
// (pairwise), who may call whom (registry), or who holds what (grant).
//
// The road of a request: read the bearer token → is it a service's own, with
// subjects:convert → parse the body → find the edge that joins the two ends →
// take from the day's budget → turn the subjects → leave out who has nothing at
// a third party → audit → answer. A subject that names nobody is null in the
// answer, whatever the reason, so that the answer tells nothing else.
//
// The budget is kept in memory, for each process by itself: a restart begins
// the day anew, and several processes give each asker as many budgets. It is
// there to make scraping slow and seen, not to count.
package subjects
