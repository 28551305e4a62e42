package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Reference returns the reference page of the configuration file in Markdown. It lists every entry with its default and
// description, from the types of this package.
func Reference() string {
	var out strings.Builder
	out.WriteString(`# Configuration file

<!-- Generated from internal/config by "make generate". Do not edit. -->

` + "`isthmus run --config FILE`" + ` reads a YAML file. All entries are optional, and flags take precedence. Validate a file with
` + "`isthmus config check FILE`" + `: an unknown entry is an error. isthmus reloads the file when it changes. Entries marked "now" take
effect at once; all others require a restart.

| entry | default | change | meaning |
| --- | --- | --- | --- |
`)
	rows(&out, "", false, reflect.ValueOf(Default()))
	return out.String()
}

func rows(out *strings.Builder, at string, live bool, section reflect.Value) {
	for i := range section.NumField() {
		field := section.Type().Field(i)
		path := at + jsonName(field)
		value := section.Field(i)
		text, change := "", ""
		if isLive(field, live) {
			change = "now"
		}
		nested := value
		switch {
		case ofStructs(value):
			nested, path = reflect.Zero(value.Type().Elem()), path+"[]"
			if value.Len() > 0 {
				nested = value.Index(0)
			}
		case value.Kind() == reflect.Struct:
		default:
			text = fmt.Sprintf("`%s`", defaultText(value))
			if value.IsZero() && value.Kind() != reflect.Bool && value.Kind() != reflect.Int && value.Kind() != reflect.Float64 {
				text = ""
			}
		}
		fmt.Fprintf(out, "| `%s` | %s | %s | %s |\n", path, text, change, strings.ReplaceAll(field.Tag.Get("doc"), "|", `\|`))
		if nested.Kind() == reflect.Struct {
			rows(out, path+".", isLive(field, live), nested)
		}
	}
}

func defaultText(value reflect.Value) string { return fmt.Sprint(value.Interface()) }
