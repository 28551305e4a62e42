package daemon

import (
	"log/slog"

	"github.com/isthmus-mesh/isthmus/internal/config"
	"github.com/isthmus-mesh/isthmus/internal/vip"
)

// newAddresses returns the ranges of virtual addresses. It logs a warning for each range that overlaps the range from
// which istiod assigns addresses.
func newAddresses(c config.Config, log *slog.Logger) (vip.Options, error) {
	options, err := c.AddressOptions()
	for _, prefix := range options.IstiodOverlaps() {
		log.Warn("range of virtual addresses overlaps the range of istiod, two services may get the same address",
			"address", prefix, "hint", "choose another range in virtualAddresses")
	}
	return options, err
}
