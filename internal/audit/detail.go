package audit

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sekisho-id/sekisho/internal/appendjson"
	"github.com/sekisho-id/sekisho/oauth"
)

const (
	maxDetail  = 4 << 10
	detailSize = 512 // fits nearly every detail
)

// formatDetail writes the detail of a record as JSON that both engines take.
func formatDetail(detail map[string]any) (string, error) {
	if len(detail) == 0 {
		return "", nil
	}
	text, err := appendDetail(make([]byte, 0, detailSize), detail)
	if err != nil {
		return "", err
	}
	if len(text) > maxDetail {
		return "", fmt.Errorf("%d bytes are more than %d", len(text), maxDetail)
	}
	return withoutCredentials(withoutNUL(string(text))), nil
}

// appendDetail writes what encoding/json would write, names in order, without
// its reflection: a record is made for every token. A test holds the two equal.
func appendDetail(b []byte, detail map[string]any) ([]byte, error) {
	names := make([]string, 0, 8)
	for name := range detail {
		names = append(names, name)
	}
	slices.Sort(names)
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendjson.String(b, name), ':')
		var err error
		if b, err = appendValue(b, detail[name]); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// appendValue knows what the hot paths put in; the rest is for encoding/json.
func appendValue(b []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case string:
		return appendjson.String(b, v), nil
	case []string:
		return appendjson.Strings(b, v), nil
	case oauth.Audience:
		if len(v) == 1 {
			return appendjson.String(b, v[0]), nil
		}
		return appendjson.Strings(b, v), nil
	case oauth.Scopes:
		return appendjson.String(b, v.String()), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	default:
		text, err := json.Marshal(v)
		return append(b, text...), err
	}
}

// withoutNUL takes escaped NULs out of JSON: no text holds one.
func withoutNUL(text string) string {
	if !strings.Contains(text, `\u0000`) {
		return text
	}
	var kept strings.Builder
	for i := 0; i < len(text); {
		size := 1
		if text[i] == '\\' {
			size = 2 // an escaped backslash begins no other escape
		}
		if strings.HasPrefix(text[i:], `\u0000`) {
			i += len(`\u0000`)
			continue
		}
		kept.WriteString(text[i : i+size])
		i += size
	}
	return kept.String()
}
