package client

import (
	"bytes"
	"context"
	"encoding/json"
	"io"

	"github.com/oubli-store/oubli/eventstore"
)

// Pseudonym is what a recipient (a provider that understands language, say) may call a person by: 32 hexadecimal digits, the same each time until the person
// is erased, and different for each recipient. It is tried again as the package comment says; asking changes nothing.
//
// Errors: [eventstore.ErrNotFound] for an identity that nobody is known by; ErrWithheld and ErrConsent where an event of the person would be refused;
// ErrInvalid for a recipient that the tenant does not name; [*Error] in general.
func (c *Client) Pseudonym(ctx context.Context, id eventstore.Identity, recipient string) (string, error) {
	body, err := json.Marshal(struct {
		Identity  eventstore.Identity `json:"identity"`
		Recipient string              `json:"recipient"`
	}{id, recipient})
	if err != nil {
		return "", errUnreadable
	}
	var answer struct {
		Pseudonym string `json:"pseudonym"`
	}
	p := c.patience()
	p.storesNothing = true
	for {
		err := c.send(ctx, sending{c.pseudonyms, "application/json", "application/json", bytes.NewReader(body), int64(len(body)), c.c.TryTimeout}, func(r io.Reader) error {
			return json.NewDecoder(io.LimitReader(r, maxReceipt)).Decode(&answer)
		})
		if err == nil {
			return answer.Pseudonym, nil
		}
		if err := p.wait(ctx, err); err != nil {
			return "", err
		}
	}
}
