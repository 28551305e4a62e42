package faults

import (
	"bytes"
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/rest"
)

// Front is an HTTPS proxy in front of an API server. It can replace responses.
type Front struct {
	pass *httputil.ReverseProxy

	mu   sync.Mutex
	rule Rule
}

// Rule replaces the response to a request. It returns false to pass the request to the API server.
type Rule func(w http.ResponseWriter, r *http.Request) (answered bool)

// NewFront starts a proxy in front of an API server and returns a client configuration for it. The proxy stops when the
// test ends.
func NewFront(t testing.TB, server *rest.Config) (*Front, *rest.Config) {
	t.Helper()
	target, err := url.Parse(server.Host)
	if err != nil {
		t.Fatal(err)
	}
	tls := rest.CopyConfig(server)
	tls.BearerToken = "" // requests have their own credentials
	transport, err := rest.TransportFor(tls)
	if err != nil {
		t.Fatal(err)
	}
	f := &Front{pass: &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: transport, FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0),
	}}
	listener := httptest.NewUnstartedServer(f)
	listener.EnableHTTP2 = true
	listener.Config.ErrorLog = f.pass.ErrorLog
	listener.StartTLS()
	t.Cleanup(func() {
		listener.CloseClientConnections()
		listener.Close()
		(&http.Client{Transport: transport}).CloseIdleConnections()
	})
	config := rest.CopyConfig(server)
	config.Host = listener.URL
	return f, config
}

// Set replaces the current rule. With nil all requests pass.
func (f *Front) Set(rule Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rule = rule
}

// ServeHTTP implements http.Handler.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	rule := f.rule
	f.mu.Unlock()
	if rule == nil || !rule(w, r) {
		f.pass.ServeHTTP(w, r)
	}
}

// Keep returns a copy of a request that outlives the timeout of its sender.
func Keep(t testing.TB, r *http.Request) *http.Request {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	kept := r.Clone(context.WithoutCancel(r.Context()))
	kept.Body = io.NopCloser(bytes.NewReader(body))
	return kept
}

// Late passes a kept request to the API server and returns the status of the response.
func (f *Front) Late(kept *http.Request) int {
	recorder := httptest.NewRecorder()
	f.pass.ServeHTTP(recorder, kept)
	return recorder.Code
}

// Refuse writes an error response like that of an API server.
func Refuse(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	status := metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: "refused for a test",
	}
	content, err := json.Marshal(status)
	if err != nil {
		panic(err) // a struct of strings and numbers
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(content) // the client may have closed the connection
}
