package registry

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
)

// Theme is the colour of buttons and links on the pages, by day and by night.
type Theme struct {
	Accent     string `json:"accent" jsonschema:"description=Colour of buttons and links on a light page\\, as in #2f5aa8. It must be readable there."`
	AccentDark string `json:"accent_dark" jsonschema:"description=The same on a dark page\\, as in #8db1f2."`
}

// Name is both colours as the address of a style sheet has them; empty for the usual ones.
func (t *Theme) Name() string {
	if t == nil {
		return ""
	}
	return t.Accent[1:] + "-" + t.AccentDark[1:]
}

func (t *Theme) words() string {
	if t == nil {
		return "the usual colours"
	}
	return t.Accent + " and " + t.AccentDark
}

// Of the pages: what is written on them in the colour must be readable (WCAG 2.2 §1.4.3),
// and so must what is written on a button of it.
const (
	paperLight = "#f7f6f3"
	paperDark  = "#12161d"
	readable   = 5.0
)

var colours = regexp.MustCompile(`^#[0-9a-f]{6}$`)

func (c checker) checkTheme(path string, theme *Theme) {
	if theme == nil {
		return
	}
	for _, of := range []struct{ key, colour, paper string }{
		{"accent", theme.Accent, paperLight}, {"accent_dark", theme.AccentDark, paperDark},
	} {
		at := path + "." + of.key
		switch {
		case of.colour == "":
			c.value(at, "is missing", "write a colour, as in \"#2f5aa8\"")
		case !colours.MatchString(of.colour):
			c.value(at, quote(of.colour)+" is no colour", "write six digits in small letters, as in \"#2f5aa8\"")
		default:
			if ratio := contrast(of.colour, of.paper); ratio < readable {
				c.value(at, fmt.Sprintf("%s cannot be read on the page, which is %s: the contrast is %.1f to 1, and %.0f is needed", of.colour, of.paper, ratio, readable),
					map[string]string{"accent": "take a darker one", "accent_dark": "take a lighter one"}[of.key])
			}
		}
	}
}

// contrast is the contrast ratio of two colours (WCAG 2.2).
func contrast(a, b string) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(colour string) float64 {
	part := func(from int) float64 {
		n, err := strconv.ParseUint(colour[from:from+2], 16, 8)
		if err != nil {
			return 0
		}
		x := float64(n) / 255
		if x <= 0.04045 {
			return x / 12.92
		}
		return math.Pow((x+0.055)/1.055, 2.4)
	}
	return 0.2126*part(1) + 0.7152*part(3) + 0.0722*part(5)
}
