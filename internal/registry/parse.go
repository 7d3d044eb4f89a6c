package registry

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/sekisho-id/sekisho/internal/secret"
)

// Limits of a group file.
const (
	maxFile    = 1 << 20
	maxNesting = 32
)

// Parse reads a group file, strictly: an unknown key, a key that is there
// twice and a value of the wrong type are faults. name stands in the faults;
// files reads the files that the group file names. The error is Faults:
// everything wrong, not the first alone.
func Parse(name string, data []byte, files func(path string) ([]byte, error)) (*Group, error) {
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	r := newReport(name, text)
	r.values[""] = place{line: 1, column: 1}
	if !r.readable(text) {
		return nil, r.all()
	}
	group := new(Group)
	root, ok := r.parse(text)
	if !ok {
		return nil, r.all()
	}
	reader{r}.read(root, reflect.ValueOf(group).Elem(), "")
	if r.lost[""] {
		return nil, r.all()
	}
	r.readFiles(group, files)
	group.check(r)
	if err := r.all(); err != nil {
		return nil, err
	}
	return group, nil
}

// readable refuses what the YAML parser would misread or take very long over.
func (r *report) readable(text string) bool {
	if len(text) > maxFile {
		r.value("", fmt.Sprintf("the file has %d bytes, more than %d", len(text), maxFile), "is it the right file?")
		return false
	}
	line, column, depth := 1, 0, 0
	for i := 0; i < len(text); {
		c, size := utf8.DecodeRuneInString(text[i:])
		i += size
		column++
		what, hint := "", ""
		switch {
		case c == '\n':
			line, column = line+1, 0
		case c == utf8.RuneError && size == 1:
			what, hint = "is not UTF-8", "save the file as UTF-8"
		case c == '\t':
			what, hint = "has a tab", "write spaces"
		case c < 0x20 || c == 0x7f || c == '\uFEFF':
			what, hint = fmt.Sprintf("has the control character U+%04X", c), "remove it"
		case c == '[' || c == '{':
			if depth++; depth > maxNesting {
				what, hint = "is nested too deep", "close the brackets"
			}
		case c == ']' || c == '}':
			depth = max(0, depth-1)
		}
		if what != "" {
			r.add("", place{line: line, column: column}, "the line "+what, hint)
			return false
		}
	}
	return true
}

// parse parses the one document of the file.
func (r *report) parse(text string) (ast.Node, bool) {
	file, err := parser.ParseBytes([]byte(text), 0, parser.AllowDuplicateMapKey())
	if err != nil {
		what, at := err.Error(), place{line: 1, column: 1}
		var syntax *yaml.SyntaxError
		if errors.As(err, &syntax) {
			what = syntax.Message
			if syntax.Token != nil && syntax.Token.Position != nil {
				at = place{line: syntax.Token.Position.Line, column: syntax.Token.Position.Column}
			}
		}
		r.add("", at, "the file is no YAML: "+what, "check the indentation and the brackets")
		return nil, false
	}
	var root ast.Node
	for _, document := range file.Docs {
		switch {
		case document.Body == nil:
		case root != nil:
			r.add("", placeOf(document.Body), "a second document begins here", "keep one group in one file")
			return nil, false
		default:
			root = document.Body
		}
	}
	if root == nil {
		r.value("", "the file is empty", "begin with `issuer:` and `subsystems:`")
		return nil, false
	}
	return root, true
}

// readFiles reads the files that clients name, so that the group holds what was
// in them.
func (r *report) readFiles(group *Group, files func(path string) ([]byte, error)) {
	for _, name := range sortedKeys(group.Legacy) {
		if l := group.Legacy[name]; l != nil {
			l.JWKS = r.either(below("legacy_tokens", name), "jwks", l.JWKS, l.JWKSFile, files)
		}
	}
	for _, name := range sortedKeys(group.Subsystems) {
		if resource := group.Subsystems[name].Resource; resource != nil {
			r.readSchemas(resource, below("subsystems", name)+".resource.authorization_details", files)
		}
		for _, short := range sortedKeys(group.Subsystems[name].Clients) {
			client := group.Subsystems[name].Clients[short]
			at := clientPath(name, short)
			client.JWKS = r.either(at, "jwks", client.JWKS, client.JWKSFile, files)
			if client.SecretFile != "" {
				if data, ok := r.open(at+".secret_file", client.SecretFile, files); ok {
					r.keepSecret(client, at+".secret_file", string(data))
				}
			}
		}
	}
}

// readSchemas reads the files that types of authorization details name.
func (r *report) readSchemas(resource *GroupResource, path string, files func(path string) ([]byte, error)) {
	for _, name := range sortedKeys(resource.Details) {
		detail := resource.Details[name]
		detail.Schema.RawMessage = r.either(below(path, name), "schema", detail.Schema.RawMessage, detail.SchemaFile, files)
	}
}

// either is a value that stands in the group file itself, or in a file that it names.
func (r *report) either(at, key string, value json.RawMessage, file string, files func(path string) ([]byte, error)) json.RawMessage {
	at = at + "." + key + "_file"
	switch {
	case file == "":
	case len(value) > 0:
		r.value(at, fmt.Sprintf("there are `%s` and `%s_file`", key, key), "keep one of them")
	default:
		if data, ok := r.open(at, file, files); ok {
			return bytes.TrimSpace(data)
		}
	}
	return value
}

// open reads one file.
func (r *report) open(at, file string, files func(path string) ([]byte, error)) ([]byte, bool) {
	if files == nil {
		r.value(at, "names a file, and there are no files here", "write the value itself")
		return nil, false
	}
	data, err := files(path.Clean(file))
	if err != nil {
		r.value(at, "cannot be read: "+err.Error(), "the path is relative to the group file")
		return nil, false
	}
	return data, true
}

// Length of a client secret.
const (
	minSecret = 32
	maxSecret = 1024
)

// keepSecret adds the hash of a secret to a client. The secret itself is kept
// nowhere.
func (r *report) keepSecret(client *GroupClient, at, text string) {
	text = strings.TrimRight(text, "\r\n")
	hint := "make one with: head -c 32 /dev/urandom | base64"
	switch {
	case len(text) < minSecret:
		r.value(at, fmt.Sprintf("the secret in the file has %d characters, fewer than %d", len(text), minSecret), hint)
	case len(text) > maxSecret:
		r.value(at, fmt.Sprintf("the secret in the file has more than %d characters", maxSecret), hint)
	case strings.ContainsFunc(text, func(c rune) bool { return c < 0x20 || c > 0x7e }):
		r.value(at, "the secret in the file is not printable ASCII on one line", hint)
	default:
		client.Secrets = append(client.Secrets, hex.EncodeToString(secret.Hash(text)))
	}
}

func clientPath(subsystem, client string) string {
	return "subsystems." + subsystem + ".clients." + client
}
