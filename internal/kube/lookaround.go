package kube

import (
	"context"
	"fmt"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// fewNamespaces is how many names of namespaces a request may have, so that no proxy finds its URL too long.
const fewNamespaces = 32

// watchNeighbours watches the ServiceEntries and Services of the whole cluster, where that is allowed, but for the
// ServiceEntries of the namespaces that are ours to write, which are watched already: one that is told of twice is
// decoded and held twice.
func (o *Output) watchNeighbours(ctx context.Context, namespaces []string) error {
	elsewhere := fields.Everything()
	if o.asideOurs = !o.seesEntries || len(namespaces) <= fewNamespaces; o.asideOurs {
		for _, namespace := range namespaces {
			elsewhere = fields.AndSelectors(elsewhere, fields.OneTermNotEqualSelector("metadata.namespace", namespace))
		}
	}
	everywhere, err := cache.New(o.options.REST, cache.Options{
		HTTPClient: o.http, Scheme: scheme, Mapper: mapper, DefaultTransform: keepClaim, DefaultWatchErrorHandler: o.watchFailed,
		ByObject: map[client.Object]cache.ByObject{&networkingv1.ServiceEntry{}: {Field: elsewhere}},
	})
	if err != nil {
		return err
	}
	if o.seesEntries {
		if err := o.watchClaims(ctx, everywhere, &networkingv1.ServiceEntry{}); err != nil {
			return err
		}
	}
	if o.seesServices {
		if err := o.watchClaims(ctx, everywhere, &corev1.Service{}); err != nil {
			return err
		}
	}
	o.everywhere = everywhere
	return nil
}

func (o *Output) watchClaims(ctx context.Context, from cache.Cache, object client.Object) error {
	informer, err := from.GetInformer(ctx, object, cache.BlockUntilSynced(false))
	if err != nil {
		return err
	}
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { o.claimed(object, false) },
		UpdateFunc: func(_, object any) { o.claimed(object, false) },
		DeleteFunc: func(object any) { o.claimed(object, true) },
	})
	if err == nil {
		o.handled = append(o.handled, registration.HasSynced)
	}
	return err
}

// readClaims reads what the ServiceEntries of our own namespaces claim, where these aren't watched with all others.
func (o *Output) readClaims(ctx context.Context) error {
	if !o.asideOurs {
		return nil
	}
	var entries networkingv1.ServiceEntryList
	if err := o.cache.List(ctx, &entries, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("read the cache: %w", err)
	}
	for _, entry := range entries.Items {
		o.readClaim(ctx, client.ObjectKeyFromObject(entry))
	}
	return nil
}

// readClaim reads what one of them claims, one after the other, so that the newest state is what is known last.
func (o *Output) readClaim(ctx context.Context, at client.ObjectKey) {
	o.reading.Lock()
	defer o.reading.Unlock()
	var entry networkingv1.ServiceEntry
	err := o.cache.Get(ctx, at, &entry)
	if apierrors.IsNotFound(err) {
		entry.Namespace, entry.Name = at.Namespace, at.Name
	} else if err != nil {
		return // isthmus stops
	}
	o.claimed(&entry, err != nil)
}

// lookAround finds out what of the cluster may be seen, and says once what may not.
func (o *Output) lookAround(ctx context.Context) error {
	for _, kind := range []struct {
		list  client.ObjectList
		seen  *bool
		blind string
	}{
		{&networkingv1.ServiceEntryList{}, &o.seesEntries, "ServiceEntries of other namespaces (list and watch serviceentries in all namespaces)"},
		{&corev1.ServiceList{}, &o.seesServices, "Services (list and watch services in all namespaces)"},
	} {
		err := o.client.List(ctx, kind.list, client.Limit(1))
		switch {
		case apierrors.IsForbidden(err):
			o.log.Info("a right is missing to see which hosts others have, so conflicts with them aren't found", "of", kind.blind)
		case err != nil:
			return fmt.Errorf("list in all namespaces: %w", err)
		}
		*kind.seen = err == nil
	}
	return nil
}

// claimed takes an object that came, changed or went.
func (o *Output) claimed(object any, gone bool) {
	if last, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = last.Obj
	}
	known, ok := object.(client.Object)
	if !ok {
		return
	}
	c, foreign := o.claimOf(known)
	if gone || !foreign {
		c.hosts, c.addresses = nil, nil
	}
	concerned, changed := o.occupied.put(c)
	if changed {
		o.tellOthers()
	}
	for _, name := range append(concerned, o.neighbours.put(c)...) {
		o.Notify(name)
	}
}

// keepClaim drops all of an object but what claimOf reads.
func keepClaim(object any) (any, error) {
	marked, err := keepOwnMark(object)
	switch object := marked.(type) {
	case *networkingv1.ServiceEntry:
		hosts, addresses, given, exportTo := object.Spec.Hosts, object.Spec.Addresses, object.Status.Addresses, object.Spec.ExportTo
		object.Spec.Reset()
		object.Status.Reset()
		object.Labels, object.Annotations = nil, nil
		object.Spec.Hosts, object.Spec.Addresses, object.Status.Addresses, object.Spec.ExportTo = hosts, addresses, given, exportTo
	case *corev1.Service:
		addresses := object.Spec.ClusterIPs
		object.Labels, object.Annotations, object.Spec, object.Status = nil, nil, corev1.ServiceSpec{ClusterIPs: addresses}, corev1.ServiceStatus{}
	}
	return marked, err
}
