package kube

import (
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// longestDelay bounds how long an API server can have us wait before we ask again.
const longestDelay = time.Minute

// overload is a transport that makes an error of an answer which asks to come again later than the request has time
// for. client-go would wait in silence until that time is over, and what is left is a request without an answer.
// Shorter waits it makes by itself: what 429, and 5xx with the header Retry-After, ask for.
type overload struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (o overload) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := o.RoundTripper.RoundTrip(r)
	end, bounded := r.Context().Deadline()
	if err != nil || !bounded {
		return response, err
	}
	delay := delayOf(response)
	if delay == 0 || time.Until(end) > delay {
		return response, nil
	}
	response.Body.Close()
	return nil, apierrors.NewGenericServerResponse(response.StatusCode, r.Method, schema.GroupResource{}, "", "",
		int(delay/time.Second), true)
}

// delayOf returns how long an answer asks to wait before the request is sent again; 0 where it doesn't.
func delayOf(response *http.Response) time.Duration {
	if response.StatusCode != http.StatusTooManyRequests && response.StatusCode < http.StatusInternalServerError {
		return 0
	}
	seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds), 24*3600) * time.Second
}
