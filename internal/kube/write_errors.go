package kube

import (
	"cmp"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/isthmus-mesh/isthmus/internal/logonce"
	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

const (
	// conflictsUntilError is how many write conflicts in a row of one service are retried before they count as a failure.
	conflictsUntilError = 5
	// watchErrorWindow is longer than client-go waits between two tries of a watch. An error after it is a new one.
	watchErrorWindow = 2 * time.Minute
)

// writeErrors groups failed services by the cause of the failure. Each cause makes one log line when it begins and one when
// it ends, for any number of services.
type writeErrors struct {
	log     *slog.Logger
	metrics *Metrics

	// mu guards all fields below. It is a leaf in the lock order.
	mu sync.Mutex
	// services has the cause for each failed service.
	services map[mesh.Name]failure
	// counts has the number of services by cause.
	counts map[failure]int
	// canaries has, by cause, the service that is retried often to find out when the cause is gone.
	canaries map[failure]mesh.Name
	// unreachable is active while the API server does not respond. It concerns all services.
	unreachable logonce.Condition
	// watchErrors has the time of the last watch error by reason.
	watchErrors map[string]time.Time
}

// failure is the cause of a failed write. Services share a failure if they have the same reason and detail. The detail is
// empty for a failure that a retry may solve.
type failure struct{ reason, detail string }

func newWriteErrors(log *slog.Logger, metrics *Metrics) writeErrors {
	return writeErrors{
		log: log, metrics: metrics, services: map[mesh.Name]failure{}, counts: map[failure]int{},
		canaries: map[failure]mesh.Name{}, watchErrors: map[string]time.Time{},
	}
}

// handleError reports the error of a write, and returns when to retry it.
func (o *Output) handleError(name mesh.Name, err error) (reconcile.Result, error) {
	if errors.Is(err, errConflict) && o.role.Load().queue.NumRequeues(name) < conflictsUntilError {
		return reconcile.Result{}, err // Another client was faster, twice. The retry reads the new object.
	}
	isCanary := o.writeErrors.add(name, err)
	if !isPermanent(err) {
		if seconds, asked := apierrors.SuggestsClientDelay(err); asked && seconds > 0 {
			return reconcile.Result{RequeueAfter: min(time.Duration(seconds)*time.Second, maxRetryAfter)}, nil
		}
		return reconcile.Result{}, err
	}
	o.services.finishInitial(name) // A service that can't be written must not keep the output from being ready.
	if isCanary {
		return reconcile.Result{RequeueAfter: canaryRetry}, nil
	}
	return reconcile.Result{RequeueAfter: rejectedRetry}, nil
}

// add notes the error of a service. It reports whether the service is the canary of its failure.
func (e *writeErrors) add(name mesh.Name, err error) (isCanary bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !isResponse(err) {
		if e.unreachable.Begin() {
			e.metrics.unreachable.Set(1)
			e.log.Error(MessageUnreachable, "error", err)
		}
		return false
	}
	now := failureOf(err)
	before, failed := e.services[name]
	if failed && before == now {
		return e.isCanary(name, now)
	}
	if failed {
		e.clear(name, before)
	}
	e.services[name] = now
	e.count(now, 1)
	if e.counts[now] == 1 {
		e.log.Error(MessageWriteFailed, "service", name, "reason", now.reason, "error", err)
	}
	return e.isCanary(name, now)
}

// isCanary reports whether a service is retried often in place of all services with the same failure. Only missing
// permissions have a canary: isthmus gets no notice when they are granted, and a request for each service of a namespace
// would be too many. The caller holds mu.
func (e *writeErrors) isCanary(name mesh.Name, f failure) bool {
	if f.reason != string(metav1.StatusReasonForbidden) {
		return false
	}
	if e.services[e.canaries[f]] != f {
		e.canaries[f] = name
	}
	return e.canaries[f] == name
}

// recover notes that a service was written. It returns the other services with the same failure, because its cause is
// probably gone.
func (e *writeErrors) recover(name mesh.Name) (others []mesh.Name) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.unreachable.End() {
		e.metrics.unreachable.Set(0)
		e.log.Info(MessageReachable)
	}
	before, failed := e.services[name]
	if !failed {
		return nil
	}
	e.clear(name, before)
	if before.detail != "" {
		for other, f := range e.services {
			if f == before {
				e.clear(other, f)
				others = append(others, other)
			}
		}
	}
	if e.counts[before] == 0 {
		e.log.Info(MessageWriteWorks, "service", name)
	}
	return others
}

func (e *writeErrors) clear(name mesh.Name, f failure) {
	delete(e.services, name)
	e.count(f, -1)
}

func (e *writeErrors) count(f failure, by int) {
	e.metrics.failedServices.WithLabelValues(f.reason).Add(float64(by))
	if e.counts[f] += by; e.counts[f] == 0 {
		delete(e.counts, f)
		delete(e.canaries, f)
	}
}

// addWatchError notes the failure of a list or a watch. The end of a watch is no failure, nor is its expiry: it starts
// again, from a new list if need be.
func (e *writeErrors) addWatchError(err error) {
	reason := string(apierrors.ReasonForError(err))
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return
	case apierrors.IsResourceExpired(err) || apierrors.IsGone(err):
		e.metrics.watchErrors.WithLabelValues(string(metav1.StatusReasonExpired)).Inc()
		return
	case reason == "":
		reason = "Unreachable"
	}
	e.metrics.watchErrors.WithLabelValues(reason).Inc()
	e.mu.Lock()
	defer e.mu.Unlock()
	before, failed := e.watchErrors[reason]
	e.watchErrors[reason] = time.Now()
	if !failed || time.Since(before) > watchErrorWindow {
		e.log.Warn("watching objects failed, retrying", "reason", reason, "error", err)
	}
}

// failureOf returns the part of an error that several services may have in common: all but the name of the object.
func failureOf(err error) failure {
	var (
		status    apierrors.APIStatus
		foreign   foreignError
		contested contestedError
	)
	switch {
	case errors.As(err, &foreign):
		return failure{"Foreign", err.Error()}
	case errors.As(err, &contested):
		return failure{"Contested", err.Error()}
	case !errors.As(err, &status):
		return failure{"Unknown", err.Error()}
	}
	f := failure{reason: cmp.Or(string(status.Status().Reason), "Unknown")}
	if isPermanent(err) {
		f.detail = status.Status().Message
		if details := status.Status().Details; details != nil && details.Name != "" {
			f.detail = strings.ReplaceAll(f.detail, strconv.Quote(details.Name), "it")
		}
	}
	return f
}
