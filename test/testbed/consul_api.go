package testbed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"regexp"
)

// olderAPI lets the newest client library write to an old Consul, such as 1.8, which refuses a body with a field that it
// does not know. If the value of the field is empty, the transport sends the request again without it.
type olderAPI struct{ next http.RoundTripper }

// mostUnknownFields limits the requests for one body.
const mostUnknownFields = 30

var unknownField = regexp.MustCompile(`unknown field "([^"]+)"`)

// RoundTrip implements http.RoundTripper.
func (o olderAPI) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Body == nil || request.Method != http.MethodPut {
		return o.next.RoundTrip(request)
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	if err := request.Body.Close(); err != nil {
		return nil, err
	}
	for range mostUnknownFields {
		response, err := o.send(request, body)
		if err != nil || response.StatusCode != http.StatusBadRequest {
			return response, err
		}
		answer, err := io.ReadAll(response.Body)
		if err != nil {
			return nil, err
		}
		response.Body = io.NopCloser(bytes.NewReader(answer))
		field := unknownField.FindSubmatch(answer)
		if field == nil {
			return response, nil
		}
		if body, err = withoutEmpty(body, string(field[1])); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s: Consul does not know more than %d fields", request.URL.Path, mostUnknownFields)
}

func (o olderAPI) send(request *http.Request, body []byte) (*http.Response, error) {
	again := request.Clone(request.Context())
	again.Body = io.NopCloser(bytes.NewReader(body))
	again.ContentLength = int64(len(body))
	return o.next.RoundTrip(again)
}

// withoutEmpty returns a JSON document without a field. It is an error if the field has a value.
func withoutEmpty(body []byte, field string) ([]byte, error) {
	var document any
	if err := json.Unmarshal(body, &document); err != nil {
		return nil, err
	}
	if err := removeEmpty(document, field); err != nil {
		return nil, err
	}
	return json.Marshal(document)
}

func removeEmpty(value any, field string) error {
	switch v := value.(type) {
	case map[string]any:
		if inner, ok := v[field]; ok {
			if !isEmpty(inner) {
				return fmt.Errorf("the field %s with the value %v is too new for this Consul: use testbed.RequireConsul", field, inner)
			}
			delete(v, field)
		}
		for _, inner := range v {
			if err := removeEmpty(inner, field); err != nil {
				return err
			}
		}
	case []any:
		for _, inner := range v {
			if err := removeEmpty(inner, field); err != nil {
				return err
			}
		}
	}
	return nil
}

// isEmpty reports whether a JSON value has no content.
func isEmpty(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		for _, inner := range v {
			if !isEmpty(inner) {
				return false
			}
		}
		return true
	case []any:
		return len(v) == 0
	}
	return value == nil || reflect.ValueOf(value).IsZero()
}
