package mail

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// Server is a mail server that takes our letters (RFC 6409).
type Server struct {
	URL      string // smtp://user@host:587 with STARTTLS, smtps://user@host:465; smtp+plain://host:25 without TLS, on the same machine
	From     string // who the letters are from: an address, or Name <address>
	Password string
}

// Check says what is wrong with the configuration, in words for an operator.
func (s Server) Check() error {
	_, err := s.client()
	if err != nil {
		return err
	}
	if err := gomail.NewMsg().From(s.From); err != nil {
		return fmt.Errorf("the sender %q is no address: %w", s.From, err)
	}
	return nil
}

func (s Server) client() (*gomail.Client, error) {
	u, err := url.Parse(s.URL)
	if err != nil || u.Hostname() == "" || u.Path != "" {
		return nil, errors.New("the address of the mail server must be like smtp://user@mail.example:587")
	}
	options := []gomail.Option{gomail.WithTimeout(20 * time.Second)}
	port := 587
	switch u.Scheme {
	case "smtp":
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case "smtps":
		port = 465
		options = append(options, gomail.WithSSL())
	case "smtp+plain":
		port = 25
		if host := u.Hostname(); host != "localhost" && host != "127.0.0.1" && host != "::1" {
			return nil, errors.New("smtp+plain:// is for a mail server on this machine only; use smtp:// or smtps://")
		}
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		return nil, errors.New("the address of the mail server must begin with smtp:// or smtps://")
	}
	if u.Port() != "" {
		if port, err = strconv.Atoi(u.Port()); err != nil {
			return nil, fmt.Errorf("the port of the mail server: %w", err)
		}
	}
	options = append(options, gomail.WithPort(port))
	if user := u.User.Username(); user != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(user), gomail.WithPassword(s.Password))
	}
	return gomail.NewClient(u.Hostname(), options...)
}

// Send gives one letter to the mail server.
func (s Server) Send(ctx context.Context, o Outgoing) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	message := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := message.From(s.From); err != nil {
		return err
	}
	if err := message.To(o.To); err != nil {
		return err
	}
	message.Subject(o.Subject)
	message.SetMessageIDWithValue(o.ID + "@sekisho")
	message.SetDate()
	message.SetGenHeader(gomail.Header("Auto-Submitted"), "auto-generated") // RFC 3834
	message.SetBodyString(gomail.TypeTextPlain, o.Plain)
	message.AddAlternativeString(gomail.TypeTextHTML, o.HTML)
	return client.DialAndSendWithContext(ctx, message)
}
