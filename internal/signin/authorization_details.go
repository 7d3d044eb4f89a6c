package signin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sekisho-id/sekisho/internal/grant"
	"github.com/sekisho-id/sekisho/internal/rar"
	"github.com/sekisho-id/sekisho/internal/registry"
	"github.com/sekisho-id/sekisho/internal/web"
	"github.com/sekisho-id/sekisho/oauth"
)

// readDetails reads authorization_details (RFC 9396 §2). Whether their types are
// declared, and the client may have them, is asked with the scopes.
func readDetails(_ context.Context, a *asking) error {
	text := a.get("authorization_details")
	if text == "" {
		return nil
	}
	details, err := rar.Parse(text)
	if err != nil {
		return oauth.Refuse(oauth.InvalidAuthorizationDetails, web.Plain("The authorization_details are refused: "+err.Error()+"."))
	}
	a.request.Details = details.JSON()
	return nil
}

// details are the authorization details of a request that was checked.
func (r *Request) details() (rar.Details, error) {
	if len(r.Details) == 0 {
		return nil, nil
	}
	details, err := rar.Parse(string(r.Details))
	if err != nil {
		return nil, fmt.Errorf("read the stored authorization details: %w", err)
	}
	return details, nil
}

// addDetails adds the scopes that authorization details ask for, and refuses a scope
// that is given with details alone and has none (RFC 9396 §5).
func (p scopePolicy) addDetails(granted grant.Scopes, details rar.Details) *oauth.Error {
	given := map[string][]string{} // types by audience
	for i, detail := range details {
		holders, refusal := p.detailHolders(detail)
		if refusal != nil {
			refusal.Description = fmt.Sprintf("Element %d of the authorization_details: %s", i+1, refusal.Description)
			return refusal
		}
		for _, resource := range holders {
			kind, _ := resource.DetailType(detail.Type)
			if !slices.Contains(granted[resource.Audience], kind.Scope) {
				granted[resource.Audience] = append(granted[resource.Audience], kind.Scope)
			}
			given[resource.Audience] = append(given[resource.Audience], detail.Type)
		}
	}
	for audience, scopes := range granted {
		resource, ok := p.group.ResourceByAudience(audience)
		if !ok {
			continue
		}
		for _, scope := range scopes {
			types := resource.Detailed(scope)
			if len(types) > 0 && !slices.ContainsFunc(types, func(t string) bool { return slices.Contains(given[audience], t) }) {
				return oauth.Refuse(oauth.InvalidScope, web.Plain("The scope "+scope+" is given together with authorization_details alone. Ask for some of the type "+strings.Join(types, " or ")+"."))
			}
		}
	}
	return nil
}

// detailHolders are the resources that take a detail and at which the client gets the
// scope that it details.
func (p scopePolicy) detailHolders(detail rar.Detail) ([]*registry.Resource, *oauth.Error) {
	var holders []*registry.Resource
	why := "no API of this group takes the type " + detail.Type + ", or none that the locations and the resource parameter name."
	if detail.Type == oauth.DetailEvent {
		why = "those of events are for the token endpoint."
	}
	for _, resource := range p.group.ResourcesWithDetail(detail.Type) {
		if !detail.For(resource.Audience) || len(p.resources) > 0 && !slices.Contains(p.resources, resource) {
			continue
		}
		kind, _ := resource.DetailType(detail.Type)
		if refusal := p.refuse(resource, kind.Scope); refusal != nil {
			why = refusal.Description
			continue
		}
		if err := kind.Check(detail); err != nil {
			return nil, oauth.Refuse(oauth.InvalidAuthorizationDetails, web.Plain("it is not as "+resource.Audience+" declares the type "+detail.Type+": "+err.Error()+"."))
		}
		holders = append(holders, resource)
	}
	if len(holders) == 0 {
		return nil, oauth.Refuse(oauth.InvalidAuthorizationDetails, web.Plain(why))
	}
	return holders, nil
}

// detailView is an authorization detail in words.
type detailView struct {
	Name    string // of its type
	Members []memberView
}

type memberView struct {
	Name  string
	Value string
	Truth web.Message // of true and false, in words; zero for any other value
}

// describeDetails puts those details into words that are for a resource.
func describeDetails(resource *registry.Resource, details rar.Details, language string) []detailView {
	var views []detailView
	for _, detail := range details {
		kind, ok := resource.DetailType(detail.Type)
		if !ok || !detail.For(resource.Audience) {
			continue
		}
		view := detailView{Name: kind.Name.In(language)}
		for _, member := range kind.Members(detail) {
			shown := memberView{Name: kind.NameOf(member.Path, language)}
			switch value := member.Value.(type) {
			case bool:
				shown.Truth = map[bool]web.Message{true: web.Say("yes"), false: web.Say("no")}[value]
			default:
				shown.Value = fmt.Sprint(value)
			}
			view.Members = append(view.Members, shown)
		}
		views = append(views, view)
	}
	return views
}
