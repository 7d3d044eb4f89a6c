package mail_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sekisho-id/sekisho/internal/clocktest"
	"github.com/sekisho-id/sekisho/internal/db"
	"github.com/sekisho-id/sekisho/internal/dbtest"
	"github.com/sekisho-id/sekisho/internal/mail"
)

// server is a mail server on this machine (RFC 5321).
type server struct {
	listener net.Listener
	mu       sync.Mutex
	busy     int // letters that it does not take yet
	letters  []string
}

func newServer(t *testing.T) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // of a test
	if err != nil {
		t.Fatal(err)
	}
	s := &server{listener: listener}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go s.talk(connection)
		}
	}()
	return s
}

// talk is one conversation.
func (s *server) talk(connection net.Conn) {
	defer func() { _ = connection.Close() }()
	in := bufio.NewReader(connection)
	say := func(text string) { _, _ = io.WriteString(connection, text+"\r\n") }
	say("220 mail.test ESMTP")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		switch verb, _, _ := strings.Cut(strings.TrimSpace(line), " "); strings.ToUpper(verb) {
		case "EHLO":
			say("250-mail.test\r\n250 8BITMIME")
		case "MAIL":
			s.mu.Lock()
			busy := s.busy > 0
			s.busy--
			s.mu.Unlock()
			if busy {
				say("451 come again")
				continue
			}
			say("250 ok")
		case "DATA":
			say("354 go on")
			var letter strings.Builder
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				letter.WriteString(strings.TrimPrefix(line, "."))
			}
			s.mu.Lock()
			s.letters = append(s.letters, letter.String())
			s.mu.Unlock()
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (s *server) taken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.letters
}

type bundle struct {
	*mail.Post
	t     *testing.T
	db    *db.DB
	clock *clocktest.Clock
	logs  *strings.Builder
}

func setup(t *testing.T, send func(context.Context, mail.Outgoing) error) *bundle {
	t.Helper()
	database, err := db.Open(t.Context(), dbtest.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close() })
	b := &bundle{t: t, db: database, clock: clocktest.At(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), logs: new(strings.Builder)}
	b.Post = b.replica(send)
	return b
}

func (b *bundle) replica(send func(context.Context, mail.Outgoing) error) *mail.Post {
	b.t.Helper()
	post, err := mail.New(mail.Config{
		DB: b.db, Key: make([]byte, 32), Send: send, Now: b.clock.Now, Logger: slog.New(slog.NewTextHandler(b.logs, nil)),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return post
}

func (b *bundle) write(letters ...mail.Letter) {
	b.t.Helper()
	err := b.db.Update(b.t.Context(), func(tx *db.Tx) error {
		for _, l := range letters {
			if err := b.Append(b.t.Context(), tx, l); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) sendSome() int {
	b.t.Helper()
	n, err := b.SendSome(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func (b *bundle) waiting() (n int, text string) {
	b.t.Helper()
	err := b.db.Read(b.t.Context(), func(tx *db.Tx) error {
		rows, err := tx.Rows(b.t.Context(), "SELECT id, sealed FROM mail")
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var id string
			var sealed []byte
			if err := rows.Scan(&id, &sealed); err != nil {
				return err
			}
			n, text = n+1, text+id+string(sealed)
		}
		return rows.Err()
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return n, text
}

var letter = mail.Letter{To: "hanako@example.test", Kind: mail.Recover, Language: "ja", Group: "マーケット", Link: "https://id.test/recover/sek_ln_secret", Minutes: 15}

// TestLetterReachesAMailServer in a real conversation: both forms, the subject in its
// encoding, and nothing of it in the database or the log on the way.
func TestLetterReachesAMailServer(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	to := mail.Server{URL: "smtp+plain://" + s.listener.Addr().String(), From: "Market <no-reply@id.test>"}
	if err := to.Check(); err != nil {
		t.Fatal(err)
	}
	b := setup(t, to.Send)
	s.busy = 1
	b.write(letter)
	if n, text := b.waiting(); n != 1 || strings.Contains(text, "sek_ln") || strings.Contains(text, "hanako") {
		t.Errorf("%d wait, as %q", n, text)
	}
	for _, step := range []struct {
		after time.Duration
		tried int
		taken int
	}{{0, 1, 0}, {59 * time.Second, 0, 0}, {time.Second, 1, 1}, {time.Hour, 0, 1}} {
		b.clock.Advance(step.after)
		if n := b.sendSome(); n != step.tried || len(s.taken()) != step.taken {
			t.Fatalf("after %v: %d tried, %d taken, want %+v", step.after, n, len(s.taken()), step)
		}
	}
	if n, _ := b.waiting(); n != 0 {
		t.Errorf("%d wait still", n)
	}
	if log := b.logs.String(); strings.Contains(log, "hanako") || strings.Contains(log, "sek_ln") || !strings.Contains(log, "451") {
		t.Errorf("the log says %s", log)
	}
	message, err := netmail.ReadMessage(strings.NewReader(s.taken()[0]))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject"))
	if err != nil || subject != "マーケット：新しいパスワードの設定" {
		t.Errorf("the subject is %q, %v", subject, err)
	}
	if message.Header.Get("To") != "<hanako@example.test>" || !strings.Contains(message.Header.Get("From"), "no-reply@id.test") ||
		message.Header.Get("Auto-Submitted") != "auto-generated" || !strings.Contains(message.Header.Get("Content-Type"), "multipart/alternative") {
		t.Errorf("headers %v", message.Header)
	}
}

// TestLettersAreSentOnce by several processes together.
func TestLettersAreSentOnce(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	sent := map[string]int{}
	send := func(_ context.Context, o mail.Outgoing) error {
		mu.Lock()
		defer mu.Unlock()
		sent[o.ID]++
		return nil
	}
	b := setup(t, send)
	letters := make([]mail.Letter, 50)
	for i := range letters {
		letters[i] = letter
	}
	b.write(letters...)
	other := b.replica(send)
	var group sync.WaitGroup
	for _, post := range []*mail.Post{b.Post, other, b.Post, other} {
		group.Go(func() {
			for range 10 {
				if _, err := post.SendSome(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if len(sent) != len(letters) {
		t.Errorf("%d letters were sent", len(sent))
	}
	for id, n := range sent {
		if n != 1 {
			t.Errorf("%s was sent %d times", id, n)
		}
	}
}

// TestLettersOfAProcessThatDied are sent by another after a while, and what no server
// takes is given up after a day.
func TestLettersOfAProcessThatDied(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	b := setup(t, func(context.Context, mail.Outgoing) error {
		if tries++; tries == 1 {
			cancel()
		}
		return errors.New("nobody there")
	})
	b.write(letter)
	if _, err := b.SendSome(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if b.sendSome() != 0 {
		t.Error("a letter was taken that another process had")
	}
	b.clock.Advance(3 * time.Minute)
	if b.sendSome() != 1 || tries != 2 {
		t.Error("nobody took it after that")
	}
	for range 40 {
		b.clock.Advance(time.Hour)
		b.sendSome()
	}
	if n, _ := b.waiting(); n != 0 || tries > 30 || !strings.Contains(b.logs.String(), "given_up=true") {
		t.Errorf("%d wait after %d tries", n, tries)
	}
}

// TestRun sends what is written while it runs.
func TestRun(t *testing.T) {
	t.Parallel()
	done := make(chan string)
	b := setup(t, func(_ context.Context, o mail.Outgoing) error { done <- o.Plain; return nil })
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { _ = b.Run(ctx) })
	for _, kind := range []mail.Kind{mail.Verify, mail.Recover, mail.Changed, mail.Move, mail.Moved} {
		for _, language := range []string{"en", "ja", "de"} {
			l := letter
			l.Kind, l.Language = kind, language
			tells := kind == mail.Changed || kind == mail.Moved // and asks for nothing
			if tells {
				l.Link = ""
			}
			b.write(l)
			text := <-done
			if strings.Contains(text, "{") || strings.Contains(text, letter.Link) == tells || !strings.Contains(text, "マーケット") {
				t.Errorf("%s in %s says %s", kind, language, text)
			}
		}
	}
	cancel()
	group.Wait()
}

func TestServersRefused(t *testing.T) {
	t.Parallel()
	for _, s := range []mail.Server{
		{URL: "", From: "a@id.test"},
		{URL: "mail.test:25", From: "a@id.test"},
		{URL: "http://mail.test", From: "a@id.test"},
		{URL: "smtp+plain://mail.test", From: "a@id.test"},
		{URL: "smtp://mail.test/path", From: "a@id.test"},
		{URL: "smtp://mail.test", From: "nobody"},
	} {
		if s.Check() == nil {
			t.Errorf("%+v is taken", s)
		}
	}
	// A server that has no TLS gets no letter over the network.
	plain := newServer(t)
	s := mail.Server{URL: fmt.Sprintf("smtp://%s", plain.listener.Addr()), From: "a@id.test"}
	if err := s.Send(t.Context(), mail.Outgoing{ID: "1", To: "b@id.test", Subject: "s", Plain: "p", HTML: "h"}); err == nil || len(plain.taken()) > 0 {
		t.Errorf("without TLS: %v", err)
	}
	if err := s.Send(t.Context(), mail.Outgoing{ID: "1", To: "b@id.test\r\nBcc: c@id.test", Subject: "s"}); err == nil {
		t.Error("an address with a line break is taken")
	}
}
