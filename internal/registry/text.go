package registry

import "encoding/json"

// Text is a few words for people, in the languages of the pages. In the group
// file it is a plain string or a map of languages.
type Text struct {
	En string
	Ja string
}

// In returns the text in a language, or in the other one where that is missing.
func (t Text) In(language string) string {
	if language == "ja" && t.Ja != "" || t.En == "" {
		return t.Ja
	}
	return t.En
}

// String is the English text, or the Japanese one where there is no English.
func (t Text) String() string { return t.In("en") }

// of adds an owner to a name: "Reader (Partner)".
func (t Text) of(owner Text) Text {
	if t.En != "" {
		t.En += " (" + owner.In("en") + ")"
	}
	if t.Ja != "" {
		t.Ja += " (" + owner.In("ja") + ")"
	}
	return t
}

// textMembers is the long form of a Text.
type textMembers struct {
	En string `json:"en,omitempty" jsonschema:"description=English"`
	Ja string `json:"ja,omitempty" jsonschema:"description=Japanese"`
}

// MarshalJSON writes the short form where there is only English.
func (t Text) MarshalJSON() ([]byte, error) {
	if t.Ja == "" {
		return json.Marshal(t.En)
	}
	return json.Marshal(textMembers(t))
}

// UnmarshalJSON reads both forms.
func (t *Text) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		t.Ja = ""
		return json.Unmarshal(data, &t.En)
	}
	var members textMembers
	if err := json.Unmarshal(data, &members); err != nil {
		return err
	}
	*t = Text(members)
	return nil
}
