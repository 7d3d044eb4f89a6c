package registry

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"testing"

	"github.com/invopop/jsonschema"
)

// TestSchemaIsOfTheModel makes the schema from the model that Parse reads into,
// so that both know the same keys. With -update it writes the embedded file.
func TestSchemaIsOfTheModel(t *testing.T) {
	t.Parallel()
	want := reflected(t)
	if update := flag.Lookup("update"); update != nil && update.Value.String() == "true" {
		if err := os.WriteFile("group.schema.json", want, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(Schema(), want) {
		t.Error("group.schema.json is older than the model: run go test ./internal/registry -run SchemaIsOfTheModel -update")
	}
}

// schemaID is the name of the schema of the group file.
const schemaID = "urn:sekisho:group"

func reflected(t *testing.T) []byte {
	t.Helper()
	reflector := jsonschema.Reflector{
		Anonymous:      true,
		ExpandedStruct: true,
		Mapper:         schemaOf,
		Namer:          func(t reflect.Type) string { return schemaNames[t] },
	}
	schema := reflector.Reflect(new(Group))
	schema.ID = schemaID
	schema.Title = "Sekisho group file"
	schema.Description = "A group of companies on one authorization server: its subsystems, their clients and APIs, and who may call whom."
	limitNames(schema)

	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(schema); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// schemaNames are the names of the parts of the schema.
var schemaNames = map[reflect.Type]string{
	reflect.TypeFor[Group]():          "group",
	reflect.TypeFor[GroupSubsystem](): "subsystem",
	reflect.TypeFor[GroupResource]():  "resource",
	reflect.TypeFor[GroupClient]():    "client",
	reflect.TypeFor[GroupCall]():      "call",
}

// schemaOf is the schema of the types that have forms of their own.
func schemaOf(t reflect.Type) *jsonschema.Schema {
	switch t {
	case typeText:
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
			{Type: "string"},
			object(reflect.TypeFor[textMembers]()),
		}}
	case typeUser:
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
			{Type: "string", Description: "A scope of the called API."},
			object(typeUser),
		}}
	case typeJSON, typeDoc:
		return &jsonschema.Schema{Type: "object"}
	default:
		return nil
	}
}

// object is the schema of the long form of a type with two.
func object(t reflect.Type) *jsonschema.Schema {
	reflector := jsonschema.Reflector{Anonymous: true, ExpandedStruct: true, DoNotReference: true}
	schema := reflector.ReflectFromType(t)
	schema.Version = ""
	return schema
}

// limitNames says what names of subsystems, clients and scopes look like.
func limitNames(group *jsonschema.Schema) {
	const name = "^[a-z][a-z0-9-]{0,39}$"
	if subsystems, ok := group.Properties.Get("subsystems"); ok {
		subsystems.PropertyNames = &jsonschema.Schema{Pattern: name}
	}
	if clients, ok := group.Definitions["subsystem"].Properties.Get("clients"); ok {
		clients.PropertyNames = &jsonschema.Schema{Pattern: name}
	}
	if scopes, ok := group.Definitions["resource"].Properties.Get("scopes"); ok {
		reserved := make([]any, len(reservedScopes))
		for i, scope := range reservedScopes {
			reserved[i] = scope
		}
		scopes.PropertyNames = &jsonschema.Schema{Pattern: `^[\x21\x23-\x5b\x5d-\x7e]+$`, Not: &jsonschema.Schema{Enum: reserved}}
	}
}
