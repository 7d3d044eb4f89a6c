package registry

import (
	_ "embed" // the schema
)

//go:embed group.schema.json
var groupSchema []byte

// Schema is the JSON Schema of the group file, for editors. A test makes it from
// the model that Parse reads into, so both know the same keys. What one key says
// about another it does not know; Parse does.
func Schema() []byte { return groupSchema }
