package config

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/isthmus-mesh/isthmus/internal/mesh"
)

// problems collects errors, each with the path of its entry.
type problems struct{ errs []error }

func (c *problems) fail(path, format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
}

func (c *problems) oneOf(path, value string, allowed ...string) {
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	c.fail(path, "%q is not one of %s", value, strings.Join(allowed, ", "))
}

func (c *problems) within(path string, value, least, most int) {
	switch {
	case value >= least && value <= most:
	case least == 0 && value < 0:
		c.fail(path, "%d is negative", value)
	default:
		c.fail(path, "%d is not within %d and %d", value, least, most)
	}
}

func (c *problems) dnsLabel(path, value string) {
	if problems := validation.IsDNS1123Label(value); len(problems) > 0 {
		c.fail(path, "%q is not a DNS label: %s", value, problems[0])
	}
}

func (c *problems) domain(path, value string) {
	if problems := validation.IsDNS1123Subdomain(value); len(problems) > 0 {
		c.fail(path, "%q is not a domain: %s", value, problems[0])
	}
}

func (c *problems) consulDomain(path, value, clusterDomain string) {
	c.domain(path, value)
	if mesh.UnderDomain(value, clusterDomain) || mesh.UnderDomain(value, "svc") {
		c.fail(path, "%q is under the cluster's own domain %q, where hosts belong to Kubernetes", value, clusterDomain)
	}
}

// globs reports empty globs. An empty glob matches no name, so it is a mistake.
func (c *problems) globs(path string, globs []string) {
	for i, glob := range globs {
		if glob == "" {
			c.fail(fmt.Sprintf("%s[%d]", path, i), "empty glob; * matches any name")
		}
	}
}

func (c *problems) exportTo(path string, namespaces []string) {
	if err := mesh.CheckExportTo(namespaces); err != nil {
		c.fail(path, "%s", strings.ReplaceAll(err.Error(), "\n", ", "))
	}
}

func (c *problems) labels(path string, globs []string) {
	for i, glob := range globs {
		if err := mesh.CheckLabelGlob(glob); err != nil {
			c.fail(fmt.Sprintf("%s[%d]", path, i), "%v", err)
		}
	}
}
