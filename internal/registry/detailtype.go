package registry

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sekisho-id/sekisho/internal/rar"
	"github.com/sekisho-id/sekisho/oauth"
)

// DetailType is a type of authorization details (RFC 9396 §2) that a resource takes.
type DetailType struct {
	Type  string
	Name  Text
	Scope string // of the resource, that it details

	schema *rar.Schema
	order  []string // of members on a page, by their paths
	names  map[string]Text
	narrow map[string]rar.Narrowing
}

// Check holds a detail against the schema. The error may be shown.
func (t *DetailType) Check(d rar.Detail) error { return t.schema.Check(d) }

// Within reports whether a detail asks for no more than one that was given.
func (t *DetailType) Within(d, held rar.Detail) bool { return d.Within(held, t.narrow) }

// Members lists what a person is shown of a detail.
func (t *DetailType) Members(d rar.Detail) []rar.Member { return d.Members(t.order) }

// NameOf is what people call a member; its bare name where nothing was declared.
func (t *DetailType) NameOf(path, language string) string {
	if name, ok := t.names[path]; ok {
		return name.In(language)
	}
	return path
}

// DetailType finds a type of authorization details that the resource takes.
func (r *Resource) DetailType(name string) (*DetailType, bool) {
	t, ok := r.details[name]
	return t, ok
}

// Detailed lists the types that detail a scope, sorted. Where there are any, people's
// clients get the scope together with such details alone.
func (r *Resource) Detailed(scope string) []string {
	var types []string
	for name, t := range r.details {
		if t.Scope == scope {
			types = append(types, name)
		}
	}
	slices.Sort(types)
	return types
}

// ResourcesWithDetail lists the resources that take a type of authorization details,
// by audience.
func (s *Snapshot) ResourcesWithDetail(name string) []*Resource {
	var resources []*Resource
	for _, subsystem := range s.sorted {
		if subsystem.Resource == nil {
			continue
		}
		if _, ok := subsystem.Resource.DetailType(name); ok {
			resources = append(resources, subsystem.Resource)
		}
	}
	slices.SortFunc(resources, func(a, b *Resource) int { return strings.Compare(a.Audience, b.Audience) })
	return resources
}

// newDetailTypes makes the types of a declaration.
func newDetailTypes(declared map[string]*GroupDetailType) (map[string]*DetailType, error) {
	if len(declared) == 0 {
		return nil, nil
	}
	types := make(map[string]*DetailType, len(declared))
	for name, d := range declared {
		schema, err := rar.Compile(d.Schema.RawMessage)
		if err != nil {
			return nil, fmt.Errorf("schema of %s: %w", name, err)
		}
		t := &DetailType{Type: name, Name: d.Name, Scope: d.Scope, schema: schema, names: map[string]Text{}, narrow: map[string]rar.Narrowing{}}
		for _, member := range d.Members {
			t.order = append(t.order, member.Path)
			t.names[member.Path] = member.Name
			if member.Narrow != "" {
				t.narrow[member.Path] = member.Narrow
			}
		}
		types[name] = t
	}
	return types, nil
}

const maxDetailType = 128

// checkDetailType checks one declared type.
func (c checker) checkDetailType(path, name string, t *GroupDetailType, resource *GroupResource) {
	switch {
	case name == oauth.DetailEvent:
		c.name(path, name+" is a type of the authorization server itself", "choose another name")
	case !oauth.ValidScope(name):
		c.name(path, quote(name)+" is no type: spaces, quotes, backslashes and what is not ASCII cannot be in one", "write it as in payment_initiation")
	case len(name) > maxDetailType:
		c.name(path, fmt.Sprintf("the type has more than %d characters", maxDetailType), "choose a shorter name")
	}
	if t == nil {
		return
	}
	if t.Name == (Text{}) {
		c.value(path+".name", "says nothing", "write in a few words what it lets one do")
	}
	c.checkText(path+".name", t.Name)
	scopes := sortedKeys(resource.Scopes)
	switch {
	case t.Scope == "":
		c.value(path+".scope", "is missing", "write which scope of this API it details")
	case !slices.Contains(scopes, t.Scope):
		c.value(path+".scope", t.Scope+" is no scope of this API", didYouMean(t.Scope, scopes, "scopes"))
	}
	c.checkDetailMembers(path, t)
}

// checkDetailMembers checks the schema, and the members that are named of it.
func (c checker) checkDetailMembers(path string, t *GroupDetailType) {
	if len(t.Schema.RawMessage) == 0 {
		if t.SchemaFile == "" {
			c.value(path+".schema", "is missing", "write a JSON Schema of the members, or name a file with `schema_file:`")
		}
		return
	}
	schema, err := rar.Compile(t.Schema.RawMessage)
	if err != nil {
		at := path + ".schema"
		if t.SchemaFile != "" {
			at += "_file"
		}
		c.value(at, "the schema "+err.Error(), "see https://json-schema.org/draft/2020-12")
		return
	}
	var paths []string
	for i, member := range t.Members {
		at := fmt.Sprintf("%s.members[%d]", path, i)
		switch {
		case member.Path == "":
			c.value(at+".path", "is missing", "write where the member is, as in amount.value")
		case slices.Contains(paths, member.Path):
			c.value(at+".path", member.Path+" is listed twice", "keep one of them")
		case !schema.MayHave(member.Path):
			c.value(at+".path", "the schema has no member "+quote(member.Path), "write the names of the schema with points between, as in amount.value")
		}
		paths = append(paths, member.Path)
		if member.Name == (Text{}) {
			c.value(at+".name", "says nothing", "write what people call it")
		}
		c.checkText(at+".name", member.Name)
		if member.Narrow != "" && !slices.Contains(rar.Narrowings, string(member.Narrow)) {
			c.value(at+".narrow", quote(string(member.Narrow))+" is not one of "+list(rar.Narrowings, "and"), oneOfHint(string(member.Narrow), rar.Narrowings))
		}
	}
}

// diffDetails says what changes of the types of authorization details.
func (d differ) diffDetails(name string, before, after map[string]*GroupDetailType) {
	for _, key := range union(before, after) {
		was, is := before[key], after[key]
		switch {
		case was == nil:
			d.other(name, "%s takes authorization details of the type %s, called %s: from now on its scope %s is given to people's clients with such details alone.", name, key, words(is.Name), is.Scope)
		case is == nil:
			d.loss(name, "%s no longer takes authorization details of the type %s: what was allowed with them ends.", name, key)
			if !details(after, was.Scope) {
				d.gain(name, "The scope %s of %s is given without authorization details.", was.Scope, name)
			}
		default:
			d.diffDetail(name, key, was, is)
		}
	}
}

// details reports whether one of the types details a scope.
func details(types map[string]*GroupDetailType, scope string) bool {
	for _, t := range types {
		if t.Scope == scope {
			return true
		}
	}
	return false
}

func (d differ) diffDetail(name, key string, was, is *GroupDetailType) {
	if was.Scope != is.Scope {
		d.other(name, "Authorization details of the type %s detail the scope %s of %s (was %s).", key, is.Scope, name, was.Scope)
	}
	if was.Name != is.Name {
		d.other(name, "The type %s of %s is called %s (was %s).", key, name, words(is.Name), words(was.Name))
	}
	if string(was.Schema.RawMessage) != string(is.Schema.RawMessage) {
		d.other(name, "The schema of the type %s of %s changes: what was allowed and does not fit it any more ends.", key, name)
	}
	if !slices.Equal(was.Members, is.Members) {
		d.other(name, "People are shown the members of the type %s of %s as %s.", key, name, memberWords(is.Members))
	}
}

// memberWords shows members in a sentence.
func memberWords(members []GroupDetailMember) string {
	var parts []string
	for _, m := range members {
		text := m.Path + " " + words(m.Name)
		if m.Narrow != "" {
			text += " (" + strings.ReplaceAll(string(m.Narrow), "_", " ") + ")"
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return "they are called"
	}
	return list(parts, "and")
}
