package api

import (
	"github.com/danielgtaylor/huma/v2"

	"github.com/oubli-store/oubli/eventstore"
)

// scopeSchema describes an [eventstore.Scope], whose JSON is not that of its fields.
type scopeSchema struct{}

// Schema implements [huma.SchemaProvider].
func (scopeSchema) Schema(huma.Registry) *huma.Schema {
	longest, bot := eventstore.MaxConversation, eventstore.MaxName
	part := func(doc string, required []string, properties map[string]*huma.Schema) *huma.Schema {
		return &huma.Schema{Type: "object", Description: doc, Properties: properties, Required: required, AdditionalProperties: false}
	}
	return &huma.Schema{
		Description: "How much is erased",
		OneOf: []*huma.Schema{
			{Type: "string", Enum: []any{string(eventstore.ScopeCodeAll)}, Description: "Everything, and the handles"},
			part("One conversation of a bot", []string{"conversation", "bot"}, map[string]*huma.Schema{
				"conversation": {Type: "string", MaxLength: &longest}, "bot": {Type: "string", MaxLength: &bot},
			}),
			part("What happened before a day of the tenant's time zone begins", []string{"before"}, map[string]*huma.Schema{
				"before": {Type: "string", Pattern: `^\d{4}-\d{2}-\d{2}$`, Examples: []any{"2026-01-31"}},
			}),
		},
	}
}
