package web

import (
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/text/language"
)

//go:embed catalogs/*.json
var catalogFiles embed.FS

// Languages are those the pages are written in; the first is used where a
// reader asks for none of them.
var Languages = []string{"en", "ja"}

// catalog holds the texts of one language by their key.
type catalog map[string]string

func loadCatalogs() (map[string]catalog, error) {
	catalogs := make(map[string]catalog, len(Languages))
	for _, name := range Languages {
		data, err := catalogFiles.ReadFile("catalogs/" + name + ".json")
		if err != nil {
			return nil, err
		}
		var texts catalog
		if err := json.Unmarshal(data, &texts); err != nil {
			return nil, fmt.Errorf("catalog %s: %w", name, err)
		}
		catalogs[name] = texts
	}
	return catalogs, nil
}

// text is the text under key with its arguments put in. A key without text
// shows itself; the catalogs' test keeps that from happening.
func (c catalog) text(key string, args ...any) string {
	text, ok := c[key]
	if !ok {
		return key
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// Message is a text that a door chose: a catalog key and its arguments. The
// zero value says nothing.
type Message struct {
	Key  string
	Args []any
}

// Say makes a Message.
func Say(key string, args ...any) Message { return Message{key, args} }

func (c catalog) message(m Message) string {
	if m.Key == "" {
		return ""
	}
	return c.text(m.Key, m.Args...)
}

// Language picks the language of a page: the first known one of ui_locales
// (OIDC Core §3.1.2.1), else of Accept-Language, else English.
func Language(r *http.Request, uiLocales string) string {
	for tag := range strings.FieldsSeq(uiLocales) {
		if known := knownLanguage(tag); known != "" {
			return known
		}
	}
	accepted, _, err := language.ParseAcceptLanguage(r.Header.Get("Accept-Language"))
	if err != nil {
		return Languages[0]
	}
	for _, tag := range accepted {
		base, _ := tag.Base()
		if known := knownLanguage(base.String()); known != "" {
			return known
		}
	}
	return Languages[0]
}

// knownLanguage compares the primary subtag only: ja-JP is answered in ja.
func knownLanguage(tag string) string {
	primary, _, _ := strings.Cut(tag, "-")
	for _, known := range Languages {
		if strings.EqualFold(primary, known) {
			return known
		}
	}
	return ""
}
