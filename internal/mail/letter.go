package mail

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	htmltemplate "html/template"
	"strings"
	"text/template"
)

// Kind is what a letter is about.
type Kind string

// The letters there are; each has its words in texts.
const (
	Verify  Kind = "verify"  // is this address yours?
	Recover Kind = "recover" // choose another password
	Changed Kind = "changed" // the password was changed
	Move    Kind = "move"    // is this new address yours?
	Moved   Kind = "moved"   // another address has taken the place of this one
)

// Letter is one letter to one person.
type Letter struct {
	To       string `json:"to"` // e-mail address
	Kind     Kind   `json:"kind"`
	Language string `json:"language"` // en or ja
	Group    string `json:"group"`    // what people call the group
	Link     string `json:"link,omitempty"`
	Minutes  int    `json:"minutes,omitempty"` // that the link lives
}

//go:embed texts/*.json
var textFiles embed.FS

// words are those of one kind of letter in one language.
type words struct {
	Subject string `json:"subject"`
	Lead    string `json:"lead"`
	Button  string `json:"button"`
	Life    string `json:"life"`
	Ignore  string `json:"ignore"`
}

var texts = loadTexts()

func loadTexts() map[string]map[Kind]words {
	all := map[string]map[Kind]words{}
	for _, language := range []string{"en", "ja"} {
		data, err := textFiles.ReadFile("texts/" + language + ".json")
		if err == nil {
			var kinds map[Kind]words
			if err = json.Unmarshal(data, &kinds); err == nil {
				all[language] = kinds
			}
		}
		if err != nil {
			panic("mail: " + err.Error()) // embedded, and read by every test
		}
	}
	return all
}

var plainLetter = template.Must(template.New("plain").Parse(`{{.Lead}}
{{with .Link}}
{{.}}

{{$.Life}}
{{end}}
{{.Ignore}}

{{.Group}}
`))

var htmlLetter = htmltemplate.Must(htmltemplate.New("html").Parse(`<!doctype html>
<html lang="{{.Language}}"><meta charset="utf-8"><title>{{.Subject}}</title>
<body style="margin:0;padding:32px 16px;background:#f7f6f2;color:#1c2230;font:16px/1.6 system-ui,sans-serif">
<div style="max-width:480px;margin:0 auto;padding:32px;background:#fff;border:1px solid #dcdfe6;border-radius:10px">
<p style="margin:0 0 24px;font-weight:600;color:#2d5aa8">{{.Group}}</p>
<p style="margin:0 0 24px">{{.Lead}}</p>
{{with .Link}}<p style="margin:0 0 24px"><a href="{{.}}" style="display:inline-block;padding:12px 24px;background:#2d5aa8;color:#fff;font-weight:600;text-decoration:none;border-radius:8px">{{$.Button}}</a></p>
<p style="margin:0 0 24px;font-size:14px;color:#596072">{{$.Life}}<br>{{.}}</p>
{{end}}<p style="margin:0;font-size:14px;color:#596072">{{.Ignore}}</p>
</div></body></html>
`))

// written is a letter in words.
type written struct {
	Letter
	words
}

// write puts a letter into words: a subject, a plain text and the same in HTML.
func (l Letter) write() (subject, plain, html string, err error) {
	kinds, ok := texts[l.Language]
	if !ok {
		kinds = texts["en"]
	}
	of, ok := kinds[l.Kind]
	if !ok {
		return "", "", "", fmt.Errorf("mail: there is no letter %q", l.Kind)
	}
	fill := strings.NewReplacer("{group}", l.Group, "{minutes}", fmt.Sprint(l.Minutes))
	w := written{l, words{
		Subject: fill.Replace(of.Subject), Lead: fill.Replace(of.Lead), Button: fill.Replace(of.Button),
		Life: fill.Replace(of.Life), Ignore: fill.Replace(of.Ignore),
	}}
	var text, page bytes.Buffer
	if err := plainLetter.Execute(&text, w); err != nil {
		return "", "", "", err
	}
	if err := htmlLetter.Execute(&page, w); err != nil {
		return "", "", "", err
	}
	return w.words.Subject, text.String(), page.String(), nil
}
