package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// liveTag marks an entry, and all entries below it, that can change at run time: "now". An entry below it that can't
// has the value "restart".
const liveTag = "reload"

// A Reload is the result of a change of the configuration at run time.
type Reload struct {
	// Running is the configuration after the change.
	Running Config
	// Now lists the entries that changed in Running.
	Now []string
	// Restart lists the changed entries that take effect after a restart.
	Restart []string
}

// NewReload copies the changes that need no restart into the running configuration. Both configurations must be valid.
// Rules and choices that need a namespace outside of watchedNamespaces require a restart. For output xds,
// watchedNamespaces is nil: every namespace can be used, and both configurations are results of ForXDS.
func NewReload(running, newest Config, watchedNamespaces []string) Reload {
	r := Reload{Running: running}
	r.Running.Sources = slices.Clone(running.Sources)
	before := running.Mesh
	r.walk("", false, reflect.ValueOf(&r.Running).Elem(), reflect.ValueOf(newest))
	if watchedNamespaces != nil && !r.Running.placesWithin(watchedNamespaces) {
		r.Running.Mesh.Rules, r.Running.Mesh.NamespaceChoices = before.Rules, before.NamespaceChoices
		r.Now = slices.DeleteFunc(r.Now, func(path string) bool {
			waits := path == "mesh.rules" || path == "mesh.namespaceChoices"
			if waits {
				r.Restart = append(r.Restart, path)
			}
			return waits
		})
	}
	if watchedNamespaces == nil {
		r.followForm()
	}
	return r
}

// Concerns reports whether an entry below the path has changed in Running.
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

// sameNames reports whether two lists have entries with the same names in the same order. Otherwise an entry would change
// the part of another one.
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

// same reports whether two values are equal. A nil list equals an empty one.
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

// Namespaces returns all namespaces in which services can be placed.
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
