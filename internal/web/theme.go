package web

import (
	"fmt"
	"net/http"
	"regexp"
)

// themeNames are a colour for light pages and one for dark ones.
var themeNames = regexp.MustCompile(`^([0-9a-f]{6})-([0-9a-f]{6})\.css$`)

// Theme serves the style sheet of two colours: GET /theme/{name}. Its address says all
// that is in it, so it may be kept for ever.
func (p *Pages) Theme(w http.ResponseWriter, r *http.Request) {
	colours := themeNames.FindStringSubmatch(r.PathValue("name"))
	if colours == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", assetKinds[".css"])
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = fmt.Fprintf(w, themeSheet, colours[1], colours[2]) // the browser is gone if this fails
}

// themeSheet takes the place of the colours in site.css.
const themeSheet = `:root { --accent: #%[1]s; --accent-deep: color-mix(in srgb, #%[1]s 80%%, black); --on-accent: #ffffff; --tint: color-mix(in srgb, #%[1]s 9%%, white); }
@media (prefers-color-scheme: dark) {
  :root { --accent: #%[2]s; --accent-deep: color-mix(in srgb, #%[2]s 80%%, white); --on-accent: #0f1c33; --tint: color-mix(in srgb, #%[2]s 16%%, #12161d); }
}
`
