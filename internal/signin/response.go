package signin

import (
	"net/url"
	"strings"

	"github.com/sekisho-id/sekisho/internal/web"
)

// respond is an authorization response (RFC 6749 §4.1.2): the fields, then state
// as it came and iss (RFC 9207 §2), in the query of the redirect URI or in a
// form.
func (d *Door) respond(request *Request, fields ...web.FormField) answer {
	if request.State != "" {
		fields = append(fields, web.FormField{Name: "state", Value: request.State})
	}
	fields = append(fields, web.FormField{Name: "iss", Value: d.Issuer})
	if request.ResponseMode == modeFormPost {
		return answer{formPost: &formPost{target: request.RedirectURI, fields: fields}}
	}
	return answer{location: withQuery(request.RedirectURI, fields)}
}

// withQuery adds fields to a URI and leaves what it already has as it is
// (RFC 6749 §3.1.2).
func withQuery(uri string, fields []web.FormField) string {
	var b strings.Builder
	b.WriteString(uri)
	separator := byte('?')
	if strings.Contains(uri, "?") {
		separator = '&'
	}
	for _, field := range fields {
		b.WriteByte(separator)
		b.WriteString(url.QueryEscape(field.Name))
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(field.Value))
		separator = '&'
	}
	return b.String()
}
