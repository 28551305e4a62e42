package mesh_test

import (
	"fmt"
	"testing"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
	"github.com/isthmus-mesh/isthmus/internal/mesh/meshtest"
)

// BenchmarkTranslate measures what one change of a service costs.
func BenchmarkTranslate(b *testing.B) {
	for _, c := range meshtest.Cases()[:2] { // both forms
		for _, instances := range []int{1, 10, 100} {
			service := c.Service
			service.Instances = nil
			for i := range instances {
				instance := c.Service.Instances[i%2]
				instance.ID.ServiceID = fmt.Sprintf("student-service-%03d", i)
				instance.Address = fmt.Sprintf("10.0.0.%d", i)
				service.Instances = append(service.Instances, instance)
			}
			b.Run(fmt.Sprintf("%s/%d", c.Options.Form, instances), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					mesh.Translate(service, c.MeshName(), c.Options)
				}
			})
		}
	}
}

// BenchmarkHostile measures what the largest service that one may register costs those that wait behind it.
func BenchmarkHostile(b *testing.B) {
	for _, form := range []mesh.Form{mesh.WorkloadEntryForm, mesh.InlineForm} {
		c := crowd(10_000, 300)
		c.Options.Form = form
		b.Run(string(form), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				mesh.Translate(c.Service, c.MeshName(), c.Options)
			}
		})
	}
}
