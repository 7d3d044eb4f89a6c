// Package house keeps the order of the code by tests alone: which package may
// import which (floors), which package may name a database table (tables), and
// which foreign modules are linked into what we ship (deps). The tables in its
// tests are policy: change them with an ADR, never to make a build pass.
package house
