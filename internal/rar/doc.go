// Package rar knows authorization details (RFC 9396): what a client wants to do
// at an API, down to the amount. It reads them, holds them against the schema of
// their type, says whether some ask for no more than others gave, and lists what a
// person is to be shown. It knows no group and no grant.
package rar
