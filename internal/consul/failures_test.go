package consul

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

func TestErrorsRemoveNothing(t *testing.T) {
	frames := errors.New("http2: frame too large, note that the frame header looked like an HTTP/1.1 header")
	tests := map[string]struct {
		fail   func(step) step
		reason string
		do     string
	}{
		"500": {func(s step) step { return s.fails(500, "No cluster leader") }, "server_error", "No cluster leader"},
		"503": {func(s step) step { return s.fails(503, "") }, "server_error", "have a leader"},
		"403": {func(s step) step { return s.fails(403, "ACL not found") }, "denied", "service_prefix"},
		"401": {func(s step) step { return s.fails(401, "ACL support disabled") }, "denied", "ACL support disabled"},
		"429": {
			func(s step) step { return s.fails(429, "Your IP is issuing too many concurrent connections") },
			"limited", "http_max_conns_per_client",
		},
		"429 in HTTP/2": {func(s step) step { return s.breaks(frames) }, "limited", "http_max_conns_per_client"},
		"404":           {func(s step) step { return s.fails(404, "") }, "unexpected", "HTTP API of a Consul agent"},
		"no JSON":       {func(s step) step { return s.says(50, "<html>") }, "unexpected", "HTTP API of a Consul agent"},
		"half a body":   {func(s step) step { return s.says(50, `[{"Node"`) }, "unreachable", "agent runs"},
		"no network":    {func(s step) step { return s.breaks(errors.New("refused")) }, "unreachable", "refused"},
		"hangs":         {step.hangs, "timeout", "the network to Consul"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := webScript(t)
			again := instances("web", "n1/web-1", "n2/web-2")
			s.service("web", test.fail(sent(11)), test.fail(sent(0)), test.fail(sent(0)), sent(0).says(12, again))
			p := s.run(20*time.Minute, Options{})
			p.told("web: n1/web-1", "synced test", "web: n1/web-1 n2/web-2")
			p.metric("isthmus_consul_requests_total", 3, "endpoint=service", "result=error")
			p.metric(failingGauge, 0)
			p.logged(began, 1)
			p.logged(ended, 1)
			p.logged("reason="+test.reason, 2)
			p.logged(test.do, 1)
		})
	}
}

func TestErrorsOfTheListRemoveNothing(t *testing.T) {
	s := webScript(t)
	s.list(sent(10).later(time.Second).fails(500, "No cluster leader"), sent(0).fails(403, "ACL not found"),
		sent(0).says(1, "{}"), sent(0).hangs(), sent(0).fails(400, "?"), sent(0).says(12, names("web")))
	p := s.run(20*time.Minute, Options{})
	p.told("web: n1/web-1", "synced test")
	p.metric(failingGauge, 0)
	p.logged("reason=server_error", 2)
	p.logged("reason=denied", 2)
}

func TestFailingForLongIsOneLine(t *testing.T) {
	s := newFakeConsul(t)
	for range 100 {
		s.list(sent(0).fails(500, "No cluster leader"))
	}
	s.list(sent(0).says(10, names("web")))
	s.service("web", sent(0).says(11, instances("web", "n1/web-1")))
	p := s.run(2*time.Hour, Options{})
	p.told("web: n1/web-1", "synced test")
	p.logged("level=", 3)
}

// TestFlappingIsQuiet verifies that a failure that comes and goes is logged once. The metrics show its repetitions.
func TestFlappingIsQuiet(t *testing.T) {
	s := webScript(t)
	for i := range 20 {
		s.list(sent(10+i).later(time.Second).fails(500, ""), sent(0).says(11+i, names("web")))
	}
	p := s.run(2*time.Hour, Options{})
	p.logged(began, 1)
	p.logged(ended, 1)
}

// TestReturningTroubleIsLoggedIfItStays verifies that a failure that returns at once is logged only if it stays.
func TestReturningTroubleIsLoggedIfItStays(t *testing.T) {
	s := webScript(t)
	s.list(sent(10).later(time.Second).fails(500, ""), sent(0).says(11, names("web")))
	s.list(sent(11).later(time.Second).fails(500, ""))
	for range 10 {
		s.list(sent(0).fails(500, ""))
	}
	s.list(sent(0).says(12, names("web")))
	p := s.run(time.Hour, Options{})
	p.logged(began, 2)
	p.logged(ended, 2)
}

func TestManyTroublesAreOneLine(t *testing.T) {
	s := newFakeConsul(t)
	var all []string
	for i := range 50 {
		all = append(all, fmt.Sprintf("s%02d", i))
		s.service(all[i], sent(0).says(11, instances(all[i], "n1/"+all[i])), sent(11).later(time.Minute).fails(500, ""),
			sent(0).fails(500, ""), sent(0).says(11, instances(all[i], "n1/"+all[i])))
	}
	s.list(sent(0).says(10, names(all...)))
	p := s.run(10*time.Minute, Options{})
	if told := p.sink.all(); len(told) != 51 || told[50] != "synced test" {
		t.Errorf("got the updates %q", told)
	}
	p.logged(began, 1)
	p.logged(ended, 1)
}

func TestTokenIsNeverLogged(t *testing.T) {
	const token = "5f1c2a3e-secret"
	s := webScript(t)
	s.service("web", sent(11).fails(403, "no such token: "+token), sent(0).says(11, instances("web", "n1/web-1")))
	p := s.run(20*time.Minute, Options{Config: &api.Config{Address: "consul.invalid", Token: token}})
	p.logged("(redacted)", 1)
	if strings.Contains(p.log.String(), "secret") {
		t.Errorf("the log contains the token:\n%s", p.log)
	}
}

// TestOneTroubleWithManyReasonsIsOneLine covers one event with several reasons. The first reason is logged. Another reason
// is logged only if it stays.
func TestOneTroubleWithManyReasonsIsOneLine(t *testing.T) {
	s := webScript(t)
	s.list(sent(10).later(time.Second).fails(403, "ACL not found"), sent(0).says(11, names("web")))
	s.service("web", sent(11).later(2*time.Second).says(1, "[]"))
	for range 8 {
		s.service("web", sent(0).says(1, "[]"))
	}
	s.service("web", sent(0).says(12, instances("web", "n1/web-1")))
	p := s.run(10*time.Minute, Options{})
	p.told("web: n1/web-1", "synced test")
	p.logged("reason=denied", 2)
	p.logged("reason=index_uninitialized", 2) // after the first reason is over
	if log := p.log.String(); strings.Index(log, "reason=index_uninitialized") < strings.LastIndex(log, "reason=denied") {
		t.Errorf("the second reason was logged while the first one was active:\n%s", log)
	}
}
