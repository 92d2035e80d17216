package api

import (
	"context"
	"encoding/json"

	"github.com/oubli-store/oubli/cmd/internal/settings"
	"github.com/oubli-store/oubli/eventstore"
)

// settingsInput is any object: [settings.Validate] knows the names.
type settingsInput struct {
	Body map[string]any
}

// privacyOutput is what a bot tells people about privacy.
type privacyOutput struct {
	Controller string                `json:"controller" doc:"Who is responsible for the data"`
	DPOContact string                `json:"dpo_contact" doc:"How to reach the data protection officer"`
	Language   string                `json:"language" doc:"The language of pages and letters"`
	Storage    string                `json:"storage" enum:"always,after-consent" doc:"after-consent: only notice and consent events are stored until consent to the purpose storage is given"`
	Purposes   []settings.Purpose    `json:"purposes" nullable:"false" doc:"What the data is used for, and on what legal basis"`
	Recipients []string              `json:"recipients" nullable:"false" doc:"Who else gets personal data"`
	Notices    []settings.NoticeText `json:"notices" nullable:"false" doc:"The texts to show, by version and language"`
	Place      string                `json:"place" doc:"Where the data is declared to be kept"`
	Retention  string                `json:"retention" doc:"How long events are kept, such as 730d; empty: as long as the server's setting says"`
}

func (a *API) registerSettings() {
	handle(a, operation("settings", "GET", "/v1/settings", "The tenant's settings"), a.showSettings)
	set := operation("set-settings", "PUT", "/v1/settings", "Change settings")
	set.Description = "Those that are sent change, null or an empty text goes back to the default, the others stay."
	handle(a, set, a.setSettings)
}

func (a *API) showSettings(ctx context.Context, c *call, _ *struct{}) (*reply[settings.Tenant], error) {
	t, err := a.Settings.Get(ctx, c.tenant)
	if err != nil {
		return nil, err
	}
	return ok(t), nil
}

var errSetting = eventstore.Refuse(eventstore.KindInvalid, "", "the value of a setting is a text, a number, true or false; notices may also be a list")

func (a *API) setSettings(ctx context.Context, c *call, in *settingsInput) (*reply[settings.Tenant], error) {
	values := make(map[string]string, len(in.Body))
	for name, v := range in.Body {
		switch v := v.(type) {
		case nil:
			values[name] = ""
		case string:
			values[name] = v
		case float64, bool, []any:
			b, _ := json.Marshal(v) // cannot fail: it came from JSON
			values[name] = string(b)
		default:
			return nil, errSetting
		}
	}
	if err := settings.Validate(values); err != nil {
		return nil, err
	}
	if err := a.record(ctx, c, c.tenant, eventstore.Entry{Act: eventstore.ActSettingsChanged, Count: uint64(len(values))}); err != nil {
		return nil, err
	}
	if err := a.Settings.Put(ctx, c.tenant, values); err != nil {
		return nil, err
	}
	return a.showSettings(ctx, c, nil)
}

func (a *API) privacy(ctx context.Context, c *call, _ *struct{}) (*reply[privacyOutput], error) {
	t, err := a.Settings.Get(ctx, c.tenant)
	if err != nil {
		return nil, err
	}
	return ok(privacyOutput{Controller: t.Controller, DPOContact: t.DPOContact, Language: t.Language, Storage: t.Storage, Place: t.Place, Retention: t.Retention,
		Purposes: append([]settings.Purpose{}, t.PurposeList()...), Recipients: append([]string{}, t.RecipientList()...),
		Notices: append([]settings.NoticeText{}, t.NoticeList()...)}), nil
}
