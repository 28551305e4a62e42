package testbed

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// plainHTTP keeps no connection, so that no goroutine outlives a test.
var plainHTTP = &http.Client{Transport: oneShot()}

// oneShot returns a transport that keeps no connection.
func oneShot() *http.Transport { return &http.Transport{DisableKeepAlives: true} }

// get requests a page and returns its body, which the caller closes. A status other than 200 is an error.
func get(ctx context.Context, url string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := plainHTTP.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, fmt.Errorf("%s: %s", url, response.Status)
	}
	return response.Body, nil
}

// getOK returns nil if the status of a page is 200.
func getOK(ctx context.Context, url string) error {
	body, err := get(ctx, url)
	if err != nil {
		return err
	}
	return body.Close()
}
