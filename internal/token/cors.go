package token

import (
	"net/http"
	"slices"

	"github.com/sekisho-id/sekisho/internal/registry"
)

// crossOrigin answers for the endpoints that an app in a browser calls: token,
// userinfo and revocation. Only origins that a public client registered may
// read the answer, and never with cookies. It reports whether the request was a
// preflight, which is answered in full here.
func (d *Door) crossOrigin(w http.ResponseWriter, r *http.Request, methods string) (preflight bool) {
	header := w.Header()
	header.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	known := origin != "" && browserOrigin(d.Registry.Current(), origin)
	if known {
		header.Set("Access-Control-Allow-Origin", origin)
		header.Set("Access-Control-Expose-Headers", "WWW-Authenticate, DPoP-Nonce, Retry-After, X-Request-Id")
		header.Set("Cross-Origin-Resource-Policy", "cross-origin")
	}
	if r.Method != http.MethodOptions {
		return false
	}
	if known {
		header.Set("Access-Control-Allow-Methods", methods)
		header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, DPoP")
		header.Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

// browserOrigin reports whether a public client lives at the origin. Only
// requests from a browser come this far, so it may look through all clients.
func browserOrigin(group *registry.Snapshot, origin string) bool {
	for _, subsystem := range group.Subsystems() {
		for _, client := range subsystem.Clients {
			if client.Public() && slices.Contains(client.CORSOrigins, origin) {
				return true
			}
		}
	}
	return false
}
