package e2e_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// eventPage gives the blocks of docs/events.md that have names.
func eventPage(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string]string{}
	for block := range strings.SplitSeq(string(page), "\n```") {
		info, text, _ := strings.Cut(block, "\n")
		if _, name, ok := strings.Cut(info, " "); ok {
			blocks[name] = text + "\n"
		}
	}
	return blocks
}

// TestEventPagePrograms checks that docs/events.md prints the receivers that
// the tests run, and that they are as short as it says.
func TestEventPagePrograms(t *testing.T) {
	t.Parallel()
	blocks := eventPage(t)
	for _, name := range []string{"event-receiver.js", "event_receiver.py"} {
		program, err := os.ReadFile("clients/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if blocks[name] != string(program) {
			t.Errorf("docs/events.md and e2e/clients have different texts of %s", name)
		}
		if lines := bytes.Count(program, []byte("\n")); lines >= 30 {
			t.Errorf("%s has %d lines", name, lines)
		}
	}
}

// printedMessage is a message that docs/events.md prints.
func printedMessage(t *testing.T, text string) eventMessage {
	t.Helper()
	head, body, ok := strings.Cut(strings.TrimSuffix(text, "\n"), "\n\n")
	if !ok {
		t.Fatalf("no message: %q", text)
	}
	message := eventMessage{Header: map[string][]string{}, Body: body}
	for line := range strings.Lines(head) {
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); ok {
			message.Header.Set(name, value)
		}
	}
	return message
}

// TestEventPageMessages verifies the messages that docs/events.md prints with
// the keys it prints, and that they say what it says they do.
func TestEventPageMessages(t *testing.T) {
	t.Parallel()
	blocks := eventPage(t)
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(blocks["keys.json"]), &keys); err != nil {
		t.Fatalf("keys.json: %v", err)
	}
	for _, name := range []string{"proof", "set", "verification"} {
		message := printedMessage(t, blocks[name+".http"])
		signed, err := jose.ParseSignedCompact(message.token(), []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		key := keys.Key(signed.Signatures[0].Header.KeyID)
		if len(key) != 1 || !key[0].Valid() || !key[0].IsPublic() {
			t.Fatalf("%s: the page has no one key %s", name, signed.Signatures[0].Header.KeyID)
		}
		if _, err := signed.Verify(key[0]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if header, ok := blocks[name+"-header.json"]; ok {
			sameJSON(t, name+"-header.json", header, string(rawPart(t, message.token(), 0)))
		}
		sameJSON(t, name+".json", blocks[name+".json"], string(rawPart(t, message.token(), 1)))
	}
	proof := printedMessage(t, blocks["proof.http"])
	if said := `"body_sha256":"` + digest(proof.Body) + `"`; !bytes.Contains(rawPart(t, proof.token(), 1), []byte(said)) {
		t.Errorf("the body that is printed has %s", said)
	}
}

func sameJSON(t *testing.T, name, printed, token string) {
	t.Helper()
	var values [2]any
	for i, text := range []string{printed, token} {
		if err := json.Unmarshal([]byte(text), &values[i]); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if !reflect.DeepEqual(values[0], values[1]) {
		t.Errorf("%s is printed as\n%s\nand is\n%s", name, printed, token)
	}
}

// likePrinted checks that a token is built as the one that docs/events.md
// prints: the same members in header and claims, in the same order.
func likePrinted(t *testing.T, name, token string) {
	t.Helper()
	printed := printedMessage(t, eventPage(t)[name+".http"]).token()
	for part, what := range []string{"header", "claims"} {
		if got, want := memberOrder(t, rawPart(t, token, part)), memberOrder(t, rawPart(t, printed, part)); got != want {
			t.Errorf("%s: %s have %s, in docs/events.md %s", name, what, got, want)
		}
	}
}

// memberOrder are the names of an object's members as they stand there.
func memberOrder(t *testing.T, object []byte) string {
	t.Helper()
	var names []string
	tokens := json.NewDecoder(bytes.NewReader(object))
	if _, err := tokens.Token(); err != nil {
		t.Fatal(err)
	}
	for tokens.More() {
		name, err := tokens.Token()
		if err != nil {
			t.Fatal(err)
		}
		var value json.RawMessage
		if err := tokens.Decode(&value); err != nil {
			t.Fatal(err)
		}
		text, _ := name.(string) // names are texts
		names = append(names, text)
	}
	return strings.Join(names, " ")
}
