package kube

import (
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// setGeneration notes the generation of a service on its ServiceEntry, for the guard after a restart. A live object that
// differs in nothing else isn't written again, so two replicas that count differently don't overwrite each other.
func setGeneration(applied *unstructured.Unstructured, wanted mesh.Object) {
	if wanted.Generation == 0 {
		return
	}
	notes := applied.GetAnnotations()
	if notes == nil {
		notes = map[string]string{}
	}
	notes[mesh.GenerationAnnotation] = strconv.Itoa(wanted.Generation)
	applied.SetAnnotations(notes)
}

// generationOf returns the generation that setGeneration noted. It is 0, the oldest, for objects of earlier builds.
func generationOf(live client.Object) int {
	generation, err := strconv.Atoi(live.GetAnnotations()[mesh.GenerationAnnotation])
	if err != nil {
		return 0
	}
	return generation
}
