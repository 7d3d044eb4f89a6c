package app

import (
	"log"
	"log/slog"
	"strings"
)

// newServerLog carries what net/http says on its own (a TLS handshake that
// failed, a client that hung up) into the structured log.
func newServerLog(logger *slog.Logger) *log.Logger {
	return log.New(serverLog{logger}, "", 0)
}

type serverLog struct{ logger *slog.Logger }

func (s serverLog) Write(line []byte) (int, error) {
	s.logger.Debug("connection", "cause", strings.TrimSpace(string(line)))
	return len(line), nil
}
