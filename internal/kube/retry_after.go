package kube

import (
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// maxRetryAfter limits how long an API server can have isthmus wait before the next try.
const maxRetryAfter = time.Minute

// retryAfterTransport turns a response into an error if its Retry-After is later than the deadline of the request.
// client-go would wait until the deadline without a word, and report a request without a response. It leaves shorter
// waits to client-go, which waits for 429 and 5xx responses with the header Retry-After.
type retryAfterTransport struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t retryAfterTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.RoundTripper.RoundTrip(r)
	deadline, bounded := r.Context().Deadline()
	if err != nil || !bounded {
		return response, err
	}
	delay := retryAfter(response)
	if delay == 0 || time.Until(deadline) > delay {
		return response, nil
	}
	response.Body.Close()
	return nil, apierrors.NewGenericServerResponse(response.StatusCode, r.Method, schema.GroupResource{}, "", "",
		int(delay/time.Second), true)
}

// retryAfter returns the delay that a response asks for; 0 for none.
func retryAfter(response *http.Response) time.Duration {
	if response.StatusCode != http.StatusTooManyRequests && response.StatusCode < http.StatusInternalServerError {
		return 0
	}
	seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds), 24*3600) * time.Second
}
