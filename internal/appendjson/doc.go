// Package appendjson writes JSON behind a buffer, as encoding/json would write
// it but without reflection and allocations. It is for what is written on
// every call between subsystems: answers, audit records.
//
// It owns the escaping of strings, no format: what a value looks like is said
// where the value belongs, beside a test that holds it equal to encoding/json.
package appendjson
