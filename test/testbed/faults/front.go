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

// Front is an HTTPS proxy in front of a real API server that can give other answers.
type Front struct {
	pass *httputil.ReverseProxy

	mu   sync.Mutex
	rule Rule
}

// Rule answers a request in the API server's place; it returns false to let the request pass.
type Rule func(w http.ResponseWriter, r *http.Request) (answered bool)

// NewFront puts a front before an API server and returns the access by way of it. It ends with the test.
func NewFront(t testing.TB, server *rest.Config) (*Front, *rest.Config) {
	t.Helper()
	target, err := url.Parse(server.Host)
	if err != nil {
		t.Fatal(err)
	}
	tls := rest.CopyConfig(server)
	tls.BearerToken = "" // requests bring their own
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

// Set makes a rule the one that is asked from now on; nil lets everything pass.
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

// Keep returns a copy of a request that outlives its sender's patience.
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

// Late passes on a request that was kept, and returns the status that the API server answered.
func (f *Front) Late(kept *http.Request) int {
	recorder := httptest.NewRecorder()
	f.pass.ServeHTTP(recorder, kept)
	return recorder.Code
}

// Refuse answers as an API server does that refuses.
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
	_, _ = w.Write(content) // who asked may be gone
}
