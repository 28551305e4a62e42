package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// liveTag marks entries, with all that is below them, that may change while isthmus runs: "now", or "restart" for an
// entry below such a one that may not.
const liveTag = "reload"

// A Reload is what becomes of a configuration that changed while isthmus runs.
type Reload struct {
	// Running is the configuration that holds from now on.
	Running Config
	// Now are the entries that changed with that, Restart those that wait for a restart.
	Now, Restart []string
}

// NewReload lays what may change without a restart over the running configuration. Both must be valid. Known are the
// namespaces that are watched: rules and choices that need others wait. Nil means that none need be, as where the output
// is xds: then both are as ForXDS made them.
func NewReload(running, newest Config, known []string) Reload {
	r := Reload{Running: running}
	r.Running.Sources = slices.Clone(running.Sources)
	before := running.Mesh
	r.walk("", false, reflect.ValueOf(&r.Running).Elem(), reflect.ValueOf(newest))
	if known != nil && !r.Running.placesWithin(known) {
		r.Running.Mesh.Rules, r.Running.Mesh.NamespaceChoices = before.Rules, before.NamespaceChoices
		r.Now = slices.DeleteFunc(r.Now, func(path string) bool {
			waits := path == "mesh.rules" || path == "mesh.namespaceChoices"
			if waits {
				r.Restart = append(r.Restart, path)
			}
			return waits
		})
	}
	if known == nil {
		r.followForm()
	}
	return r
}

// Concerns tells whether an entry that changes now is below a path.
func (r Reload) Concerns(path string) bool {
	return slices.ContainsFunc(r.Now, func(changed string) bool { return strings.HasPrefix(changed, path) })
}

func (r *Reload) walk(path string, live bool, running, newest reflect.Value) {
	switch {
	case running.Kind() == reflect.Struct:
		for i := range running.NumField() {
			field := running.Type().Field(i)
			at := strings.TrimPrefix(path+"."+jsonName(field), ".")
			r.walk(at, isLive(field, live), running.Field(i), newest.Field(i))
		}
	case !live && ofStructs(running) && sameNames(running, newest):
		for i := range running.Len() {
			r.walk(fmt.Sprintf("%s[%d]", path, i), live, running.Index(i), newest.Index(i))
		}
	case same(running, newest):
	case live:
		running.Set(newest)
		r.Now = append(r.Now, path)
	default:
		r.Restart = append(r.Restart, path)
	}
}

// sameNames says whether two lists have entries of the same names, in the same order: what runs by one is not to be
// changed by another.
func sameNames(running, newest reflect.Value) bool {
	name := func(list reflect.Value, i int) string {
		if field := list.Index(i).FieldByName("Name"); field.IsValid() {
			return field.String()
		}
		return ""
	}
	for i := range running.Len() {
		if i >= newest.Len() || name(running, i) != name(newest, i) {
			return false
		}
	}
	return running.Len() == newest.Len()
}

// same takes an empty list for none.
func same(a, b reflect.Value) bool {
	if a.Kind() == reflect.Slice && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

func isLive(field reflect.StructField, inherited bool) bool {
	tag, tagged := field.Tag.Lookup(liveTag)
	return tag == "now" || inherited && !tagged
}

func jsonName(field reflect.StructField) string { return strings.Split(field.Tag.Get("json"), ",")[0] }

func ofStructs(value reflect.Value) bool {
	return value.Kind() == reflect.Slice && value.Type().Elem().Kind() == reflect.Struct
}

// Namespaces returns all namespaces that services can be placed in.
func (c Config) Namespaces() []string { return c.placement().Namespaces() }

func (c Config) placesWithin(known []string) bool {
	return !slices.ContainsFunc(c.Namespaces(), func(namespace string) bool { return !slices.Contains(known, namespace) })
}

func (c Config) placement() mesh.Placement {
	placement := mesh.Placement{
		Base: c.Kubernetes.Namespace, Shards: c.Kubernetes.Shards,
		Choices: c.Mesh.NamespaceChoices, ExportTo: c.Mesh.ExportTo,
	}
	for _, rule := range c.Mesh.Rules {
		placement.Rules = append(placement.Rules, mesh.Rule(rule))
	}
	return placement
}
