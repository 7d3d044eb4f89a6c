package web

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"

	"github.com/sekisho-id/sekisho/oauth"
)

// ReadJSON reads a body of application/json, at most limit bytes. What it says
// is for the door to understand. The error is an *oauth.Error.
func ReadJSON(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return nil, &oauth.Error{
			Code: oauth.InvalidRequest, Status: http.StatusUnsupportedMediaType,
			Description: "The body must have the content type application/json.",
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, &oauth.Error{
			Code: oauth.InvalidRequest, Status: http.StatusRequestEntityTooLarge,
			Description: "The body is larger than " + strconv.FormatInt(limit>>10, 10) + " KiB; send less in one request.",
		}
	}
	if err != nil {
		return nil, oauth.Refuse(oauth.InvalidRequest, "The body could not be read to its end.")
	}
	return body, nil
}
