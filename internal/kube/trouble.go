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

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// links remembers what is in trouble, so that a trouble makes one line when it begins and one when it ends, however
// many services it concerns.
type links struct {
	log     *slog.Logger
	metrics *Metrics

	mu sync.Mutex
	// services have a trouble of their own or share one.
	services map[mesh.Name]trouble
	// shared counts the services in a trouble.
	shared map[trouble]int
	// scouts are the services by which the end of a trouble is noticed.
	scouts map[trouble]mesh.Name
	// down is set while the API server doesn't answer; it concerns every service.
	down bool
	// watch is when a watch last failed, by reason.
	watch map[string]time.Time
}

// trouble is why a service isn't written. What depends on the object alone has a detail of its own.
type trouble struct{ reason, detail string }

// failed reports an error and says when to try again.
func (o *Output) failed(name mesh.Name, err error) (reconcile.Result, error) {
	if errors.Is(err, errMoved) && (*o.queue.Load()).NumRequeues(name) < tolerated {
		return reconcile.Result{}, err // somebody was faster, twice; it is decided on anew in a moment
	}
	scout := o.links.failed(name, err)
	if !permanent(err) {
		if seconds, asked := apierrors.SuggestsClientDelay(err); asked && seconds > 0 {
			return reconcile.Result{RequeueAfter: min(time.Duration(seconds)*time.Second, longestDelay)}, nil
		}
		return reconcile.Result{}, err
	}
	o.mu.Lock()
	o.firstWritten(name) // a service that can't be written keeps no other from being ready
	o.mu.Unlock()
	if scout {
		return reconcile.Result{RequeueAfter: scoutRetry}, nil
	}
	return reconcile.Result{RequeueAfter: refusedRetry}, nil
}

// failed reports an error. It returns whether the service is the one that shall find out when what several services
// share is over.
func (l *links) failed(name mesh.Name, err error) (scout bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !answered(err) {
		if !l.down {
			l.down = true
			l.metrics.unanswered.Set(1)
			l.log.Error("the API server doesn't answer; writes are tried again until it does", "error", err)
		}
		return false
	}
	now := troubleOf(err)
	before, known := l.services[name]
	if known && before == now {
		return l.scout(name, now)
	}
	if known {
		l.leave(name, before)
	}
	if l.services == nil {
		l.services, l.shared, l.scouts = map[mesh.Name]trouble{}, map[trouble]int{}, map[trouble]mesh.Name{}
	}
	l.services[name] = now
	l.count(now, 1)
	if l.shared[now] == 1 {
		l.log.Error("service not written", "service", name, "error", err)
	}
	return l.scout(name, now)
}

// scout tells whether a service is the one of those in a trouble that is tried again soon. Rights that are missing are
// given back without a word to us, and what keeps all services of a namespace isn't worth a request of each.
func (l *links) scout(name mesh.Name, t trouble) bool {
	if t.reason != string(metav1.StatusReasonForbidden) {
		return false
	}
	if l.services[l.scouts[t]] != t {
		l.scouts[t] = name
	}
	return l.scouts[t] == name
}

// recovered notes that a service is written. It returns the services that waited for long because of the same: what
// kept them all is likely over.
func (l *links) recovered(name mesh.Name) (others []mesh.Name) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		l.down = false
		l.metrics.unanswered.Set(0)
		l.log.Info("the API server answers again")
	}
	before, ok := l.services[name]
	if !ok {
		return nil
	}
	l.leave(name, before)
	if before.detail != "" {
		for other, t := range l.services {
			if t == before {
				l.leave(other, t)
				others = append(others, other)
			}
		}
	}
	if l.shared[before] == 0 {
		l.log.Info("service written after all", "service", name)
	}
	return others
}

func (l *links) leave(name mesh.Name, t trouble) {
	delete(l.services, name)
	l.count(t, -1)
}

func (l *links) count(t trouble, by int) {
	l.metrics.unwritten.WithLabelValues(t.reason).Add(float64(by))
	if l.shared[t] += by; l.shared[t] == 0 {
		delete(l.shared, t)
		delete(l.scouts, t)
	}
}

// watchQuiet is longer than client-go pauses between two tries to watch: a failure after it is a new one.
const watchQuiet = 2 * time.Minute

// watchFailed reports that what stands in the mesh can't be read. That a watch ends or expires is no trouble: it begins
// again, from a new list where need be.
func (l *links) watchFailed(err error) {
	reason := string(apierrors.ReasonForError(err))
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return
	case apierrors.IsResourceExpired(err) || apierrors.IsGone(err):
		l.metrics.watchErrors.WithLabelValues(string(metav1.StatusReasonExpired)).Inc()
		return
	case reason == "":
		reason = "Unanswered"
	}
	l.metrics.watchErrors.WithLabelValues(reason).Inc()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watch == nil {
		l.watch = map[string]time.Time{}
	}
	before, failed := l.watch[reason]
	l.watch[reason] = time.Now()
	if !failed || time.Since(before) > watchQuiet {
		l.log.Warn("what stands in the mesh can't be watched; it is tried again until it can", "reason", reason, "error", err)
	}
}

// troubleOf tells what several services may have in common: everything that doesn't lie in the one object.
func troubleOf(err error) trouble {
	var (
		status    apierrors.APIStatus
		foreign   foreignError
		contested contestedError
	)
	switch {
	case errors.As(err, &foreign):
		return trouble{"Foreign", err.Error()}
	case errors.As(err, &contested):
		return trouble{"Contested", err.Error()}
	case !errors.As(err, &status):
		return trouble{"Unknown", err.Error()}
	}
	t := trouble{reason: cmp.Or(string(status.Status().Reason), "Unknown")}
	if permanent(err) {
		t.detail = status.Status().Message
		if details := status.Status().Details; details != nil && details.Name != "" {
			t.detail = strings.ReplaceAll(t.detail, strconv.Quote(details.Name), "it")
		}
	}
	return t
}

// answered tells whether an error is an answer of the API server, not the lack of one.
func answered(err error) bool {
	var (
		status    apierrors.APIStatus
		foreign   foreignError
		contested contestedError
	)
	return errors.As(err, &status) || errors.As(err, &foreign) || errors.As(err, &contested)
}
