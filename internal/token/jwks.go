package token

import "net/http"

// JWKS serves the public keys (RFC 7517 §5).
func (d *Door) JWKS(w http.ResponseWriter, r *http.Request) {
	body, etag := d.Keys.JWKS()
	document{body: body, etag: etag}.serve(w, r)
}
