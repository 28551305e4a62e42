package mesh

import (
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// HostTemplate generates a host of a service. It is text with {{ .Name }}, once, {{ .Datacenter }} and {{ .Domain }}. It
// supports nothing else, so the service of a host can be derived from the host.
type HostTemplate struct {
	text  string
	parts []templatePart
}

// HostData holds the values of a HostTemplate.
type HostData struct {
	// Name is the service's name in the mesh, a DNS label.
	Name string
	// Datacenter is the Consul datacenter of the service.
	Datacenter string
	// Domain is the domain of Consul's DNS.
	Domain string
}

// templatePart is text or, if the text is empty, a field.
type templatePart struct{ text, field string }

const nameField, datacenterField, domainField = "Name", "Datacenter", "Domain"

// ParseHostTemplate parses a template and validates it with an example, so mistakes are found at the start.
func ParseHostTemplate(text string) (HostTemplate, error) {
	parsed, err := template.New("host").Option("missingkey=error").Parse(text)
	if err != nil {
		return HostTemplate{}, fmt.Errorf("host template %q: %w", text, err)
	}
	data := HostData{Name: "web", Datacenter: "dc1", Domain: "consul"}
	if err := parsed.Execute(&strings.Builder{}, data); err != nil {
		return HostTemplate{}, fmt.Errorf("host template %q: %w", text, err)
	}
	t := HostTemplate{text: text}
	for _, node := range parsed.Root.Nodes {
		part, ok := partOf(node)
		if !ok {
			return HostTemplate{}, fmt.Errorf("host template %q: %s is not supported; use text, {{ .Name }}, {{ .Datacenter }} and {{ .Domain }}", text, node)
		}
		t.parts = append(t.parts, part)
	}
	example := t.form(data).host("web")
	switch count := t.count(nameField); {
	case count == 1 && (!isHost(example) || endsInNumber(example)), count == 0 && !isHost(t.form(data).prefix):
		return HostTemplate{}, fmt.Errorf(`host template %q gives the service "web" the invalid host %q`, text, example)
	case count == 0:
		return HostTemplate{}, fmt.Errorf("host template %q gives all services the same host %q; add {{ .Name }}", text, t.form(data).prefix)
	case count > 1:
		return HostTemplate{}, fmt.Errorf("host template %q contains {{ .Name }} twice; use it once", text)
	}
	return t, nil
}

// partOf returns the part of a template node; false if the node is not supported.
func partOf(node parse.Node) (templatePart, bool) {
	switch node := node.(type) {
	case *parse.TextNode:
		return templatePart{text: string(node.Text)}, true
	case *parse.ActionNode:
		if len(node.Pipe.Decl) == 0 && len(node.Pipe.Cmds) == 1 && len(node.Pipe.Cmds[0].Args) == 1 {
			if field, ok := node.Pipe.Cmds[0].Args[0].(*parse.FieldNode); ok && len(field.Ident) == 1 {
				return templatePart{field: field.Ident[0]}, true
			}
		}
	}
	return templatePart{}, false
}

// count returns how often the template uses a field.
func (t HostTemplate) count(field string) int {
	return len(slices.DeleteFunc(slices.Clone(t.parts), func(p templatePart) bool { return p.field != field }))
}

// form returns the template with all values but the name filled in.
func (t HostTemplate) form(data HostData) hostForm {
	var form hostForm
	at := &form.prefix
	for _, part := range t.parts {
		switch part.field {
		case nameField:
			at = &form.suffix
		case datacenterField:
			*at += data.Datacenter
		case domainField:
			*at += data.Domain
		default:
			*at += strings.ToLower(part.text)
		}
	}
	return form
}

// hostForm is the common form of several services' hosts: the text before and after the name.
type hostForm struct{ prefix, suffix string }

// host returns the host of a service.
func (f hostForm) host(label string) string { return f.prefix + label + f.suffix }

// label returns the name of the service that owns a host of this form; false if the host has another form.
func (f hostForm) label(host string) (string, bool) {
	rest, ok := strings.CutPrefix(host, f.prefix)
	if !ok {
		return "", false
	}
	label, ok := strings.CutSuffix(rest, f.suffix)
	return label, ok && isDNSLabel(label)
}
