package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Reference returns the reference page of the configuration file, in Markdown: every entry with its default and
// what it does, from the types of this package.
func Reference() string {
	var out strings.Builder
	out.WriteString(`# Configuration file

<!-- Made from internal/config by "make generate". Do not edit. -->

` + "`isthmus run --config FILE`" + ` reads a YAML file. Every entry may be left out; flags go before it. Check one with
` + "`isthmus config check FILE`" + `: an entry that isn't known is an error.

| entry | default | meaning |
| --- | --- | --- |
`)
	rows(&out, "", reflect.ValueOf(Default()))
	return out.String()
}

func rows(out *strings.Builder, at string, section reflect.Value) {
	for i := range section.NumField() {
		field := section.Type().Field(i)
		path := at + strings.Split(field.Tag.Get("json"), ",")[0]
		value := section.Field(i)
		text := ""
		nested := value
		switch {
		case value.Kind() == reflect.Slice && value.Type().Elem().Kind() == reflect.Struct:
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
		fmt.Fprintf(out, "| `%s` | %s | %s |\n", path, text, strings.ReplaceAll(field.Tag.Get("doc"), "|", `\|`))
		if nested.Kind() == reflect.Struct {
			rows(out, path+".", nested)
		}
	}
}

func defaultText(value reflect.Value) string { return fmt.Sprint(value.Interface()) }
