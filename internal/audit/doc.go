// Package audit keeps the record of what was decided: who signed in, which
// token was issued or refused, who withdrew a consent, who changed the group.
//
// It owns the table audit_record and the list of events. It does not decide
// anything, and it holds no secret: a value that looks like a token is removed
// before it is written.
//
// There are two ways in, with one rule: no audit, no change. A decision that
// writes to the database anyway appends its record in the same transaction
// (Append). A decision that writes nothing else (an access token, a conversion)
// goes through the Log: a bounded queue, written in batches.
//
// A Log accepts or refuses. It begins to refuse when a batch cannot be
// written, keeps what it had accepted, tries again, and accepts once that is
// written:
//
//	accepting --batch fails--> refusing --batch written--> accepting
//
// It also refuses while its queue is full. It never drops a record.
package audit
