package engine

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

const (
	// findingPause is the time in which a finding of a service is logged at most maxFindingLines times. A finding that ends
	// and returns within this time isn't logged again.
	findingPause    = 10 * time.Minute
	maxFindingLines = 3
	// maxLoggedDetails is the number of details that are remembered for each finding.
	maxLoggedDetails = 16
)

// informative are the reasons of findings that need no action in most cases.
var informative = map[mesh.Reason]bool{
	mesh.ReservedLabel: true, mesh.BadLabel: true,
	mesh.IsUDP: true, mesh.ConnectNative: true, mesh.ConnectSidecar: true, mesh.KubernetesSync: true,
}

// loggedFinding is what the log says about a finding of a service.
type loggedFinding struct {
	// details are the newest details in the log.
	details []string
	// times are the times of the lines within findingPause.
	times []time.Time
	// seen is the last time at which the service had the finding.
	seen time.Time
}

// reportFindings counts the findings of a service and logs those that are new. The service was unknown before if known is nil.
func (e *Engine) reportFindings(known, next *serviceState) {
	now := e.now()
	if known != nil {
		for _, finding := range known.findings {
			e.metrics.finding(known.Source, finding.Reason, -1)
		}
		for reason, logged := range known.logged {
			if now.Sub(logged.seen) < findingPause || slices.ContainsFunc(known.findings, func(f mesh.Finding) bool { return f.Reason == reason }) {
				next.setLogged(reason, logged)
			}
		}
	}
	for _, finding := range next.findings {
		e.metrics.finding(next.Source, finding.Reason, 1)
		logged := next.logged[finding.Reason]
		logged.seen = now
		logged.times = slices.DeleteFunc(slices.Clone(logged.times), func(at time.Time) bool { return now.Sub(at) >= findingPause })
		news := slices.DeleteFunc(slices.Clone(finding.Examples), func(e mesh.Example) bool { return slices.Contains(logged.details, e.Detail) })
		if len(news) > 0 && len(logged.times) < maxFindingLines {
			e.logFinding(next, finding, news)
			logged.times = append(logged.times, now)
			logged.details = slices.Clone(logged.details)
			for _, example := range news {
				logged.details = append(logged.details, example.Detail)
			}
			logged.details = logged.details[max(0, len(logged.details)-maxLoggedDetails):]
		}
		next.setLogged(finding.Reason, logged)
	}
}

func (s *serviceState) setLogged(reason mesh.Reason, logged loggedFinding) {
	if s.logged == nil {
		s.logged = map[mesh.Reason]loggedFinding{}
	}
	s.logged[reason] = logged
}

// logFinding logs the new examples of a finding.
func (e *Engine) logFinding(s *serviceState, finding mesh.Finding, news []mesh.Example) {
	level := slog.LevelWarn
	if informative[finding.Reason] {
		level = slog.LevelInfo
	}
	var subjects, details []string
	cases := 0
	for _, example := range finding.Examples {
		cases += example.Count
	}
	for _, example := range news {
		subjects = append(subjects, example.Subjects...)
		details = append(details, example.Detail)
	}
	if finding.Count > cases {
		details = append(details, "and others")
	}
	e.log.Log(context.Background(), level, MessageFinding, "service", s.Key, "reason", finding.Reason, "count", finding.Count,
		"object", strings.Join(subjects, ", "), "error", strings.Join(details, "; "))
}
