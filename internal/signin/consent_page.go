package signin

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/sekisho-id/sekisho/internal/audit"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/rar"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// access is what scopes mean, in words.
type access struct {
	Identity []web.Message   // what the client learns about the person
	Groups   []accessAtGroup // what it may do, resource by resource
	Offline  bool            // also while the person is away
}

type accessAtGroup struct {
	Name    string
	Scopes  []string
	Details []detailView
}

// identityScopes are told in the order of this list.
var identityScopes = []struct {
	scope string
	text  web.Message
}{
	{oauth.ScopeOpenID, web.Say("scope.openid")},
	{oauth.ScopeProfile, web.Say("scope.profile")},
	{oauth.ScopeEmail, web.Say("scope.email")},
	{oauth.ScopePhone, web.Say("scope.phone")},
	{oauth.ScopeAddress, web.Say("scope.address")},
}

// describe puts scopes into words. A scope or resource that is not declared any
// more is told by its bare name, and one that authorization details say more of by them.
func describe(group *registry.Snapshot, scopes grant.Scopes, details rar.Details, language string) access {
	var a access
	audiences := make([]string, 0, len(scopes))
	for audience := range scopes {
		audiences = append(audiences, audience)
	}
	slices.Sort(audiences)
	for _, audience := range audiences {
		resource, known := group.ResourceByAudience(audience)
		if known && resource.Subsystem == nil {
			own := oauth.Scopes(scopes[audience])
			a.Offline = own.Has(oauth.ScopeOfflineAccess)
			for _, identity := range identityScopes {
				if own.Has(identity.scope) {
					a.Identity = append(a.Identity, identity.text)
				}
			}
			continue
		}
		at := accessAtGroup{Name: audience}
		if known {
			at.Name = resource.Subsystem.DisplayName.In(language)
			at.Details = describeDetails(resource, details, language)
		}
		for _, scope := range scopes[audience] {
			if known && len(details) > 0 && len(resource.Detailed(scope)) > 0 {
				continue
			}
			text := scope
			if known {
				if words := resource.Scopes[scope].In(language); words != "" {
					text = words
				}
			}
			at.Scopes = append(at.Scopes, text)
		}
		a.Groups = append(a.Groups, at)
	}
	return a
}

// consentView is what the consent page shows.
type consentView struct {
	access
	Action    string
	Client    string
	Host      string // where the person goes on to
	Email     string
	PolicyURI string
	TOSURI    string
}

// ConsentPage asks the person whether a client of another company may have what
// it asks for.
func (d *Door) ConsentPage(w http.ResponseWriter, r *http.Request) { d.serve(w, r, d.consentPage) }

func (d *Door) consentPage(w http.ResponseWriter, r *http.Request) (answer, error) {
	f, err := d.open(r)
	if err != nil {
		return answer{}, err
	}
	if at, refusal := d.next(f); refusal != nil || at != stepConsent {
		return d.proceed(w, r, f)
	}
	who, err := d.person(r.Context(), f.session)
	if err != nil {
		return answer{}, err
	}
	language := web.Language(r, f.request.UILocales)
	return answer{page: f.page("consent", consentPurpose(f), consentView{
		access: describe(d.Registry.Current(), f.scopes, f.details, language),
		Action: "/consent/" + url.PathEscape(f.handle),
		Client: f.clientName(r), Host: host(f.request.RedirectURI), Email: who.Email,
		PolicyURI: f.client.PolicyURI, TOSURI: f.client.TOSURI,
	})}, nil
}

// host is the place a redirect URI leads to, for people.
func host(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" {
		return uri // a native app's own scheme
	}
	return u.Host
}

// Consent takes the person's answer. It is bound to the stored request: what is
// allowed comes from there, never from the form.
func (d *Door) Consent(w http.ResponseWriter, r *http.Request) { d.serve(w, r, d.decide) }

func (d *Door) decide(w http.ResponseWriter, r *http.Request) (answer, error) {
	f, values, err := d.openForm(w, r, consentPurpose, "decision")
	if err != nil {
		return answer{}, err
	}
	if at, refusal := d.next(f); refusal != nil || at != stepConsent {
		return d.proceed(w, r, f)
	}
	switch values.Get("decision") {
	case "deny":
		return d.deny(r, f, audit.ConsentDenied)
	case "allow":
	default:
		return answer{}, oauth.Refuse(oauth.InvalidRequest, "The decision must be allow or deny.")
	}
	f.request.Consented = sessionName(f.session)
	err = d.save(r, f, func(tx *db.Tx) error {
		return d.Grants.Remember(r.Context(), tx, f.session, f.client.ID, f.scopes)
	})
	if err != nil {
		return answer{}, err
	}
	if err := d.situate(r.Context(), f); err != nil {
		return answer{}, err
	}
	return d.proceed(w, r, f)
}
