package signin

import (
	"net/url"
	"strings"

	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// respond is an authorization response (RFC 6749 §4.1.2): the fields, then state
// as it came and iss (RFC 9207 §2), in the query of the redirect URI or in a
// form; or signed, all in one (JARM §2.1).
func (d *Door) respond(request *Request, fields ...web.FormField) (answer, error) {
	if request.State != "" {
		fields = append(fields, web.FormField{Name: "state", Value: request.State})
	}
	fields = append(fields, web.FormField{Name: "iss", Value: d.Issuer})
	if request.signed() {
		token, err := d.sign(request, fields)
		if err != nil {
			return answer{}, err
		}
		fields = []web.FormField{{Name: "response", Value: token}}
	}
	if request.byForm() {
		return answer{formPost: &formPost{target: request.RedirectURI, fields: fields}}, nil
	}
	return answer{location: withQuery(request.RedirectURI, fields)}, nil
}

// sign makes one token of an authorization response.
func (d *Door) sign(request *Request, fields []web.FormField) (string, error) {
	client, ok := d.Registry.Current().Client(request.ClientID)
	if !ok {
		return "", shown{oauth.Refuse(oauth.InvalidRequest, "The client is not registered any more.")}
	}
	parameters := map[string]string{}
	for _, field := range fields {
		parameters[field.Name] = field.Value
	}
	return d.Mint.AuthorizationResponse(client, parameters)
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
