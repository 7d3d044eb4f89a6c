// Package registry knows the group: its subsystems, their clients and
// resources, and the edges between them.
//
// It owns the group file (Parse, Schema, Diff), the whole documents kept in the
// database (Registry.Apply), the immutable Snapshot every other room reads, the
// table of scenarios (Scenario), the rules for redirect URIs, and client
// authentication. It owns the clients that third parties register themselves
// (Registry.Register), which stand beside the declared ones, and the tables
// realm, sector, registry_revision, registration_token and registered_client.
//
// It does not own people, sessions or grants, and it makes no tokens: it says
// what is allowed, the doors do it.
//
// A group is written in a file, read by Parse into a Group (the declared model:
// plain strings, every default filled in), and applied: one transaction writes
// the document, makes sector rows for new sectors and an audit record. From the
// newest document and the sector rows a Snapshot (the linked model: pointers
// and indexes) is built and swapped as a whole; readers hold on to the one they
// got. A sector row is never changed or deleted, so that the identifiers of a
// subsystem survive its removal and return.
package registry
