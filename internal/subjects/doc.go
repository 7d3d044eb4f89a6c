// Package subjects is the door by which a service turns the pairwise subjects
// of those who call it into its own, and back: POST /subjects/convert.
//
// It owns the rules of conversion: who may ask, between which two sectors and for
// which people. It does not know how subjects are made and how many a day
// (pairwise), who may call whom (registry), or who holds what (grant).
//
// The road of a request: read the bearer token → is it a service's own, with
// subjects:convert → parse the body → find the edge that joins the two ends →
// take from the day's budget → turn the subjects → leave out who has nothing at
// a third party → audit → answer. A subject that names nobody is null in the
// answer, whatever the reason, so that the answer tells nothing else.
package subjects
