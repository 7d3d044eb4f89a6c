package token

import (
	"net/http"

	"github.com/sekisho-id/sekisho/internal/web"
)

// JWKS serves the public keys (RFC 7517 §5).
func (d *Door) JWKS(w http.ResponseWriter, r *http.Request) {
	body, etag := d.Keys.JWKS()
	web.Document{Body: body, ETag: etag}.Serve(w, r)
}
