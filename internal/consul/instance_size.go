package consul

import (
	"reflect"
	"unsafe"

	"github.com/isthmus-mesh/isthmus/internal/catalog"
)

const (
	textBytes = int64(unsafe.Sizeof(""))
	// entryBytes is the memory of an entry of a map, without its texts.
	entryBytes = 3 * textBytes
)

// instanceBytes returns the memory that an instance takes, without what it shares with another one; see shareWith.
func instanceBytes(i, other catalog.Instance) int64 {
	bytes := int64(unsafe.Sizeof(i)) + texts(i.ID.Datacenter, i.ID.Partition, i.ID.Namespace, i.ID.Node, i.ID.ServiceID,
		i.Address, i.Locality.Region, i.Locality.Zone)
	for _, port := range i.Ports {
		bytes += int64(unsafe.Sizeof(port)) + texts(port.Name)
	}
	if len(i.Tags) > 0 && (len(other.Tags) == 0 || &i.Tags[0] != &other.Tags[0]) {
		bytes += int64(len(i.Tags))*textBytes + texts(i.Tags...)
	}
	if len(i.Checks) > 0 && (len(other.Checks) == 0 || &i.Checks[0] != &other.Checks[0]) {
		bytes += int64(len(i.Checks)) * int64(unsafe.Sizeof(i.Checks[0]))
	}
	return bytes + entries(i.Meta, other.Meta) + entries(i.NodeMeta, other.NodeMeta)
}

func texts(all ...string) (bytes int64) {
	for _, text := range all {
		bytes += int64(len(text))
	}
	return bytes
}

// entries returns the memory of a map, or 0 if it is the one that another instance has.
func entries(m, other map[string]string) (bytes int64) {
	if len(m) == 0 || reflect.ValueOf(m).Pointer() == reflect.ValueOf(other).Pointer() {
		return 0
	}
	for key, value := range m {
		bytes += entryBytes + texts(key, value)
	}
	return bytes
}
