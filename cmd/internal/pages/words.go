package pages

import (
	"fmt"

	"github.com/oubli-store/oubli/cmd/internal/phrases"
)

func fill(text string, args []any) string {
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// words are the phrases that stand on pages alone.
var words = map[string]phrases.Phrase{
	"responsible": {EN: "Who is responsible", FR: "Qui est responsable"},
	"controller":  {EN: "controller", FR: "responsable du traitement"},
	"dpo":         {EN: "data protection officer", FR: "délégué à la protection des données"},
	"not_named":   {EN: "(not named)", FR: "(non indiqué)"},

	"copy_title": {EN: "A copy of your data", FR: "Copie de vos données"},
	"copy_made":  {EN: "What is stored about you in the conversations with our assistants, on %s.", FR: "Ce qui est conservé à votre sujet dans les échanges avec nos assistants, le %s."},
	"copy_rights": {
		EN: "You may ask that something is corrected or erased, that its use is restricted, or object to it; write to the contact above. You may complain to a supervisory authority; in France this is the CNIL (www.cnil.fr).",
		FR: "Vous pouvez demander une rectification, un effacement ou une limitation, ou vous opposer au traitement, en écrivant au contact ci-dessus. Vous pouvez saisir une autorité de contrôle ; en France, la CNIL (www.cnil.fr)."},
	"copy_known":       {EN: "What is known of you", FR: "Ce que l'on sait de vous"},
	"copy_number":      {EN: "internal number", FR: "numéro interne"},
	"copy_consents":    {EN: "Your consents", FR: "Vos consentements"},
	"copy_no_consents": {EN: "You were asked for none, or gave no answer.", FR: "Aucun ne vous a été demandé, ou vous n'avez pas répondu."},
	"copy_said":        {EN: "What was said", FR: "Ce qui a été dit"},
	"copy_nothing":     {EN: "Nothing is stored.", FR: "Rien n'est conservé."},
	"copy_where":       {EN: "Where it came from and went to", FR: "D'où viennent ces données et où elles sont allées"},
	"copy_recipients":  {EN: "recipients", FR: "destinataires"},
	"copy_whole":       {EN: "The page is complete: it shows %d events.", FR: "La page est complète : elle montre %d événements."},
	"copy_file":        {EN: "In this archive: %s", FR: "Dans cette archive : %s"},

	"talk_title": {EN: "Your conversation", FR: "Votre conversation"},
	"talk_made":  {EN: "As it is stored on %s.", FR: "Telle qu'elle est conservée le %s."},

	"letter_title": {EN: "Certificate of an erasure", FR: "Attestation d'effacement"},
	"letter_lead": {
		EN: "We confirm that the personal data named below were erased. The erasure cannot be undone.",
		FR: "Nous attestons que les données personnelles désignées ci-dessous ont été effacées. Cet effacement est irréversible."},
	"letter_what":      {EN: "The erasure", FR: "L'effacement"},
	"letter_issue":     {EN: "issue", FR: "version"},
	"letter_stages":    {EN: "What was done, and when", FR: "Ce qui a été fait, et quand"},
	"letter_destroyed": {EN: "What was destroyed", FR: "Ce qui a été détruit"},
	"letter_remains":   {EN: "What is left, and until when", FR: "Ce qui reste, et jusqu'à quand"},
	"letter_notified":  {EN: "Who was told and has acknowledged it", FR: "Qui a été informé et en a accusé réception"},
	"letter_check":     {EN: "How to check it", FR: "Comment la vérifier"},
	"letter_how": {
		EN: "This page is a readable form. The signed file proves it: ask for it (JSON) and check it offline with “oubli verify FILE --key KEY”, which needs no trust in us. The key is the one below; compare it with the one that we publish.",
		FR: "Cette page en est la forme lisible. Le fichier signé en est la preuve : demandez-le (JSON) et vérifiez-le hors ligne avec « oubli verify FICHIER --key CLÉ », sans devoir nous croire. La clé est celle-ci ; comparez-la avec celle que nous publions."},
	"letter_key":        {EN: "public key", FR: "clé publique"},
	"letter_ledger":     {EN: "ledger", FR: "registre"},
	"letter_checkpoint": {EN: "signed state of the ledger", FR: "état signé du registre"},
	"letter_more": {
		EN: "Not every stage is behind yet. Ask again later: the certificate then says more.",
		FR: "Toutes les étapes ne sont pas encore franchies. Redemandez-la plus tard : elle en dira davantage."},

	"more_intent":      {EN: "understood as", FR: "compris comme"},
	"more_slot":        {EN: "remembered", FR: "retenu"},
	"more_entity":      {EN: "recognised in the text", FR: "reconnu dans le texte"},
	"more_reason":      {EN: "reason", FR: "motif"},
	"more_method":      {EN: "how", FR: "moyen"},
	"more_source":      {EN: "where", FR: "source"},
	"more_notice":      {EN: "privacy notice", FR: "notice d'information"},
	"more_categories":  {EN: "kinds of data", FR: "catégories de données"},
	"more_also":        {EN: "came with the handle", FR: "venu avec l'identifiant"},
	"more_operator":    {EN: "member of staff", FR: "agent"},
	"more_approver":    {EN: "approved by", FR: "approuvé par"},
	"more_status":      {EN: "status", FR: "statut"},
	"more_bot_version": {EN: "version of the bot", FR: "version du bot"},
	"more_data":        {EN: "further data", FR: "autres données"},
	"more_sha256":      {EN: "SHA-256 of the file", FR: "SHA-256 du fichier"},
}
