package kube

import (
	"errors"
	"log/slog"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// links remembers what is in trouble, so that a trouble makes one line when it begins and one when it ends.
type links struct {
	mu sync.Mutex
	// services have an error of their own.
	services map[mesh.Name]string
	// down is set while the API server doesn't answer; it concerns every service.
	down bool
}

// failed reports an error and says when to try again.
func (o *Output) failed(name mesh.Name, err error) (reconcile.Result, error) {
	o.links.failed(o.log, name, err)
	if !permanent(err) {
		return reconcile.Result{}, err
	}
	o.mu.Lock()
	o.firstWritten(name) // a service that can't be written keeps no other from being ready
	o.mu.Unlock()
	return reconcile.Result{RequeueAfter: refusedRetry}, nil
}

func (l *links) failed(log *slog.Logger, name mesh.Name, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !answered(err) {
		if !l.down {
			l.down = true
			log.Error("the API server doesn't answer; writes are tried again until it does", "error", err)
		}
		return
	}
	if l.services[name] == err.Error() {
		return
	}
	if l.services == nil {
		l.services = map[mesh.Name]string{}
	}
	l.services[name] = err.Error()
	log.Error("service not written", "service", name, "error", err)
}

func (l *links) recovered(log *slog.Logger, name mesh.Name) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		l.down = false
		log.Info("the API server answers again")
	}
	if _, ok := l.services[name]; ok {
		delete(l.services, name)
		log.Info("service written after all", "service", name)
	}
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
