package door

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
)

// maskJSON changes every string, key and number of a JSON value by mask; a number that is changed becomes a string. What has nothing to mask is given back as it is. Keys
// that a mask makes equal are numbered. The value must be valid.
func maskJSON(raw json.RawMessage, mask func(string) string) (json.RawMessage, error) {
	if len(raw) == 0 {
		return raw, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	w := jsonMasker{mask: mask}
	if err := w.value(d); err != nil {
		return nil, err
	}
	if !w.changed {
		return raw, nil
	}
	return w.out.Bytes(), nil
}

type jsonMasker struct {
	mask    func(string) string
	out     bytes.Buffer
	changed bool
}

var errNotJSON = errors.New("a value is not JSON")

func (w *jsonMasker) value(d *json.Decoder) error {
	t, err := d.Token()
	if err != nil {
		return errNotJSON // the cause could repeat a part of it
	}
	switch v := t.(type) {
	case json.Delim:
		return w.composite(d, v)
	case string:
		w.string(v)
	case json.Number:
		if m := w.mask(v.String()); m != v.String() {
			w.changed = true
			w.quote(m)
			return nil
		}
		w.out.WriteString(v.String())
	case bool:
		w.out.WriteString(strconv.FormatBool(v))
	case nil:
		w.out.WriteString("null")
	}
	return nil
}

func (w *jsonMasker) composite(d *json.Decoder, open json.Delim) error {
	w.out.WriteByte(byte(open))
	keys := map[string]int{}
	for i := 0; d.More(); i++ {
		if i > 0 {
			w.out.WriteByte(',')
		}
		if open == '{' {
			if err := w.key(d, keys); err != nil {
				return err
			}
		}
		if err := w.value(d); err != nil {
			return err
		}
	}
	end, err := d.Token()
	if err != nil && !errors.Is(err, io.EOF) {
		return errNotJSON
	}
	if delim, ok := end.(json.Delim); ok {
		w.out.WriteByte(byte(delim))
		return nil
	}
	return errNotJSON
}

func (w *jsonMasker) key(d *json.Decoder, keys map[string]int) error {
	t, err := d.Token()
	k, ok := t.(string)
	if err != nil || !ok {
		return errNotJSON
	}
	m := w.mask(k)
	if m != k {
		w.changed = true
		if keys[m]++; keys[m] > 1 {
			m += " " + strconv.Itoa(keys[m])
		}
	}
	w.quote(m)
	w.out.WriteByte(':')
	return nil
}

func (w *jsonMasker) string(s string) {
	m := w.mask(s)
	w.changed = w.changed || m != s
	w.quote(m)
}

func (w *jsonMasker) quote(s string) {
	e := json.NewEncoder(&w.out)
	e.SetEscapeHTML(false)
	_ = e.Encode(s)                 // a string always encodes
	w.out.Truncate(w.out.Len() - 1) // its line feed
}
