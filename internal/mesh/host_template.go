package mesh

import (
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// HostTemplate makes a host of a service: text with {{ .Name }}, once, and with {{ .Datacenter }} and {{ .Domain }}. It
// can do no more, so that one can tell which service a host belongs to.
type HostTemplate struct {
	text  string
	parts []templatePart
}

// HostData is what a HostTemplate may use.
type HostData struct {
	// Name is the service's name in the mesh, a DNS label.
	Name string
	// Datacenter is the Consul datacenter of the service.
	Datacenter string
	// Domain is the domain of Consul's DNS.
	Domain string
}

// templatePart is a text or, where that is empty, a field.
type templatePart struct{ text, field string }

const nameField, datacenterField, domainField = "Name", "Datacenter", "Domain"

// ParseHostTemplate checks a template on an example, so that a mistake shows before the first service comes.
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
			return HostTemplate{}, fmt.Errorf("host template %q: %s can't stand in it, only text, {{ .Name }}, {{ .Datacenter }} and {{ .Domain }}", text, node)
		}
		t.parts = append(t.parts, part)
	}
	example := t.form(data).host("web")
	switch count := t.count(nameField); {
	case count == 1 && (!isHost(example) || endsInNumber(example)), count == 0 && !isHost(t.form(data).prefix):
		return HostTemplate{}, fmt.Errorf(`host template %q makes %q of the service "web", which is no host name`, text, example)
	case count == 0:
		return HostTemplate{}, fmt.Errorf("host template %q gives every service the same host %q; use {{ .Name }} in it", text, t.form(data).prefix)
	case count > 1:
		return HostTemplate{}, fmt.Errorf("host template %q holds {{ .Name }} twice; once is enough", text)
	}
	return t, nil
}

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

func (t HostTemplate) count(field string) int {
	return len(slices.DeleteFunc(slices.Clone(t.parts), func(p templatePart) bool { return p.field != field }))
}

// form returns the template's hosts for all names at once.
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

// hostForm is what the hosts of several services have in common: the text before and behind the name.
type hostForm struct{ prefix, suffix string }

func (f hostForm) host(label string) string { return f.prefix + label + f.suffix }

// label returns the name of the service that a host of this form belongs to; false where it belongs to none.
func (f hostForm) label(host string) (string, bool) {
	rest, ok := strings.CutPrefix(host, f.prefix)
	if !ok {
		return "", false
	}
	label, ok := strings.CutSuffix(rest, f.suffix)
	return label, ok && isDNSLabel(label)
}
