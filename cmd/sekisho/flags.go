package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strings"

	"github.com/sekisho-id/sekisho/internal/app"
)

// installation are the flags of every command that opens the database of an
// installation.
type installation struct {
	database
	PPIDSecretFile       string `name:"ppid-secret-file" env:"SEKISHO_PPID_SECRET_FILE" placeholder:"FILE" help:"File with the PPID secret; or set SEKISHO_PPID_SECRET."`
	KeyEncryptionKeyFile string `env:"SEKISHO_KEY_ENCRYPTION_KEY_FILE" placeholder:"FILE" help:"File with the key-encryption key; or set SEKISHO_KEY_ENCRYPTION_KEY."`
	Dev                  bool   `env:"SEKISHO_DEV" help:"Development: make missing secrets beside the database and say so."`
}

// config is the part of the configuration these flags decide.
func (i installation) config(logger *slog.Logger) (app.Config, error) {
	config := app.Config{Dev: i.Dev, Logger: logger}
	var err error
	if config.Database, err = i.dsn(); err != nil {
		return config, err
	}
	if config.Now, err = clock(); err != nil {
		return config, err
	}
	config.PPIDSecrets, err = keys("SEKISHO_PPID_SECRET", i.PPIDSecretFile, app.ParseKeys)
	if err != nil {
		return config, fmt.Errorf("PPID secret: %w", err)
	}
	config.KeyEncryptionKeys, err = keys("SEKISHO_KEY_ENCRYPTION_KEY", i.KeyEncryptionKeyFile, app.ParseKEKs)
	if err != nil {
		return config, fmt.Errorf("key-encryption key: %w", err)
	}
	return config, nil
}

// withRooms opens an installation for one piece of work.
func withRooms(ctx context.Context, flags installation, term terminal, work func(*app.Rooms) error) error {
	config, err := flags.config(quiet(term.err))
	if err != nil {
		return err
	}
	rooms, err := app.OpenRooms(ctx, config)
	if err != nil {
		return err
	}
	return errors.Join(work(rooms), rooms.Close(ctx))
}

// keys reads keys from the file, else from the environment variable. They are
// never flags themselves: other users of a machine can read a command line.
func keys[Key any](variable, file string, parse func(string) ([]Key, error)) ([]Key, error) {
	text := os.Getenv(variable)
	if file != "" {
		if text != "" {
			return nil, fmt.Errorf("%s and %s_FILE are both set; keep one", variable, variable)
		}
		data, err := os.ReadFile(file) //nolint:gosec // the operator names the file
		if err != nil {
			return nil, err
		}
		text = string(data)
	}
	return parse(text)
}

// logging are the flags of commands that run for long.
type logging struct {
	LogLevel  slog.Level `env:"SEKISHO_LOG_LEVEL" default:"info" help:"debug, info, warn or error (${default})."`
	LogFormat string     `env:"SEKISHO_LOG_FORMAT" enum:"json,text" default:"json" help:"json or text (${default})."`
}

func (l logging) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: l.LogLevel}
	if l.LogFormat == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	handler := slog.NewJSONHandler(w, options)
	if lines, ok := w.(*logBuffer); ok {
		return slog.New(lineHandler{handler, lines})
	}
	return slog.New(handler)
}

// quiet is the logger of short commands: warnings only, readable.
func quiet(w io.Writer) *slog.Logger {
	return logging{LogLevel: slog.LevelWarn, LogFormat: "text"}.logger(w)
}

// prefixes reads addresses and networks: 10.0.0.7, 10.0.0.0/8.
func prefixes(list []string) ([]netip.Prefix, error) {
	var parsed []netip.Prefix
	for _, text := range list {
		if !strings.Contains(text, "/") {
			address, err := netip.ParseAddr(text)
			if err != nil {
				return nil, fmt.Errorf("%q is neither an address nor a network", text)
			}
			parsed = append(parsed, netip.PrefixFrom(address, address.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network", text)
		}
		parsed = append(parsed, prefix)
	}
	return parsed, nil
}
