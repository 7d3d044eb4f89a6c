// Package web owns what every HTTP door shares: reading a form once and
// strictly, writing JSON and errors, the one structured event per request,
// headers, cookies, the CSRF token, and the pages with their two languages.
//
// It knows no client, account or grant: a door decides what to say, web decides
// how it is put on the wire. It owns no table and no state.
package web
