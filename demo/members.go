package demo

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Member is a ready-made person, so that one can look around before making an
// account. The passwords stand on the page: they protect nothing.
type Member struct {
	Name, Email, Password string
	Does                  string
}

var members = []Member{
	{Name: "Taro", Email: "taro@market.example", Password: "a quiet lamp by the river", Does: "buys"},
	{Name: "Hanako", Email: "hanako@market.example", Password: "seven teapots in the rain", Does: "sells"},
}

// goods are what Hanako sells.
var goods = []Item{{Title: "Lamp", Price: 1200}, {Title: "Kettle", Price: 2600}, {Title: "Umbrella", Price: 900}}

// welcome lets the ready-made people join as anybody does, through the sign-up
// page, and fills market with Hanako's goods. A second start finds both done.
func (g *Group) welcome(ctx context.Context) error {
	for _, person := range members {
		visitor, err := newBrowser()
		if err != nil {
			return err
		}
		if err := visitor.open(ctx, g.urls[partyApp]+"/signin"); err != nil {
			return err
		}
		if err := visitor.signUp(ctx, person); err != nil {
			return fmt.Errorf("%s: %w", person.Name, err)
		}
		if person.Does != "sells" {
			continue
		}
		if err := g.stock(ctx, visitor); err != nil {
			return fmt.Errorf("stock the market: %w", err)
		}
	}
	return nil
}

// stock offers the goods that are not for sale yet, on the app's own page.
func (g *Group) stock(ctx context.Context, seller *browser) error {
	if err := seller.open(ctx, g.urls[partyApp]+"/"); err != nil {
		return err
	}
	for _, item := range goods {
		if strings.Contains(seller.text("items"), item.Title) {
			continue
		}
		fields := map[string]string{"title": item.Title, "price": strconv.FormatInt(item.Price, 10)}
		if err := seller.click(ctx, "offer-form", fields); err != nil {
			return err
		}
		if err := seller.open(ctx, g.urls[partyApp]+"/"); err != nil {
			return err
		}
	}
	return nil
}

// signUp makes an account from the sign-in page, or signs in where it exists.
func (b *browser) signUp(ctx context.Context, person Member) error {
	if err := b.click(ctx, "signup-link", nil); err != nil {
		return err
	}
	err := b.click(ctx, "signup-form", map[string]string{"name": person.Name, "email": person.Email, "password": person.Password})
	if err != nil || !b.has("signup-form") {
		return err
	}
	if err := b.click(ctx, "signin-link", nil); err != nil {
		return err
	}
	return b.signIn(ctx, person)
}

// signIn signs in on the sign-in page.
func (b *browser) signIn(ctx context.Context, person Member) error {
	err := b.click(ctx, "signin-form", map[string]string{"email": person.Email, "password": person.Password})
	if err == nil && b.has("signin-form") {
		return fmt.Errorf("the sign-in page did not take the password%s", b.complaint())
	}
	return err
}

// Members are the ready-made people, who may sign in.
func Members() []Member { return slices.Clone(members) }
