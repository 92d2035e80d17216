package console

// answers is what person and erasure say when they run.
var answers = map[string]phrase{
	"err_erased":      {"the person was erased", "la personne a été effacée"},
	"err_not-found":   {"not found", "introuvable"},
	"err_withheld":    {"the person's data is restricted", "les données de la personne font l'objet d'une limitation"},
	"err_hold":        {"a legal hold forbids this, or somebody else has to approve it; an erasure waits for that: oubli request list", "une obligation légale de conservation l'interdit, ou quelqu'un d'autre doit l'approuver ; un effacement l'attend : oubli request list"},
	"err_forbidden":   {"the access token's role does not allow this", "le rôle de ce jeton d'accès ne le permet pas"},
	"err_invalid":     {"the request is not valid", "la demande n'est pas valable"},
	"err_unavailable": {"temporarily unavailable; try again", "momentanément indisponible ; réessayez"},

	"admitted": {
		"Admitted. Handles that were refused until now: %d.",
		"Admis. Identifiants refusés jusqu'ici : %d."},
	"nobody": {
		"nobody is known under this handle (never seen, or erased)",
		"personne n'est connu sous cet identifiant (jamais vu, ou effacé)"},
	"bad_identity": {
		"--identity is a namespace and an id, such as email:alice@example.com",
		"--identity est un espace de noms et une valeur, par exemple email:alice@example.com"},
	"bad_person": {
		"--person is the 26-character id that `oubli person show` prints",
		"--person est l'identifiant de 26 caractères qu'affiche `oubli person show`"},
	"no_identity":     {"no handle came from standard input", "aucun identifiant sur l'entrée standard"},
	"prompt_identity": {"Handle (for example email:alice@example.com): ", "Identifiant (par exemple email:alice@example.com) : "},

	"ambiguous":      {"not linked", "non reliés"},
	"expired_before": {"expired before", "expiré avant le"},
	"from_to":        {"%d, from %s to %s", "%d, du %s au %s"},
	"holds":          {"legal holds", "obligations de conservation"},
	"state_hint":     {"Handles under \"not linked\" came with this person but belong to somebody else; nothing was merged.", "Les identifiants « non reliés » sont venus avec cette personne mais appartiennent à quelqu'un d'autre ; rien n'a été fusionné."},

	"left_out":  {"Technical events not shown: %d (--all shows them).", "Événements techniques non montrés : %d (--all les montre)."},
	"too_many":  {"Only the first %d events are shown; --conversation shows one conversation, --json everything.", "Seuls les %d premiers événements sont montrés ; --conversation en montre une seule, --json montre tout."},
	"no_events": {"Nothing is stored for this person.", "Rien n'est conservé pour cette personne."},

	"zip_needs_output":   {"a zip does not go to a terminal: say --output FILE", "un zip ne s'affiche pas sur un terminal : dites --output FICHIER"},
	"written":            {"Written to %s", "Écrit dans %s"},
	"would_erase":        {"This would be erased, for good:", "Ceci serait effacé, pour de bon :"},
	"on_hold":            {"a legal hold forbids this erasure for now; the request waits (oubli request list) and goes on by itself when the hold ends", "une obligation légale de conservation interdit cet effacement pour l'instant ; la demande attend (oubli request list) et reprend d'elle-même à la fin de l'obligation"},
	"ask_erase":          {"Erase this person for good? Type yes: ", "Effacer cette personne pour de bon ? Tapez oui : "},
	"ask_erase_part":     {"Erase this part for good? Type yes: ", "Effacer cette partie pour de bon ? Tapez oui : "},
	"erased_part":        {"Erased. Nothing of this part can be read any more; the rest can be read as before.", "Effacée. Plus rien de cette partie n'est lisible ; le reste se lit comme avant."},
	"erased_kept":        {"%d erased, %d kept", "%d effacés, %d conservés"},
	"scope_conversation": {"the conversation %s of %s", "la conversation %s de %s"},
	"scope_before":       {"what was said before %s", "ce qui a été dit avant le %s"},
	"bad_conversation": {
		"a conversation is written with its bot: --conversation shop-fr/c-42",
		"une conversation s'écrit avec son bot : --conversation shop-fr/c-42"},
	"yes": {"yes", "oui"},
	"need_yes": {
		"there is no terminal to ask on: check with --dry-run, then say --yes",
		"pas de terminal pour demander confirmation : vérifiez avec --dry-run, puis dites --yes"},
	"no_consents":    {"No answer to a question for consent is known.", "Aucune réponse à une demande de consentement n'est connue."},
	"purpose":        {"purpose", "finalité"},
	"answer":         {"answer", "réponse"},
	"method":         {"method", "moyen"},
	"source":         {"source", "source"},
	"notice_version": {"notice", "information"},
	"method_message": {"message", "message"},
	"method_button":  {"button", "bouton"},
	"method_banner":  {"banner", "bandeau"},
	"method_voice":   {"voice", "voix"},
	"not_erased":     {"Nothing was erased.", "Rien n'a été effacé."},
	"erased":         {"Erased. Nothing of this person can be read any more.", "Effacée. Plus rien de cette personne n'est lisible."},
	"when":           {"when", "quand"},
	"stage":          {"stage", "étape"},
	"not_yet":        {"not yet", "pas encore"},
	"messages":       {"ciphertexts", "messages chiffrés"},
	"removed_left":   {"%d deleted, %d left", "%d supprimés, %d restants"},
	"search":         {"search for traces", "recherche de traces"},
	"search_journal": {"the journal still holds ciphertexts; they go within minutes", "le journal contient encore des messages chiffrés ; ils disparaissent en quelques minutes"},
	"search_files":   {"files of the stream still hold ciphertexts; searched again soon", "des fichiers du flux contiennent encore des messages chiffrés ; nouvelle recherche bientôt"},
	"search_nothing": {"nothing is left in any file of the stream and the journal", "plus rien dans aucun fichier du flux ni du journal"},
	"search_journal-only": {"nothing is left in the journal; the files of the NATS server were not searched",
		"plus rien dans le journal ; les fichiers du serveur NATS n'ont pas été examinés"},
	"refused_until": {"handles refused until", "identifiants refusés jusqu'au"},
	"refused_note": {
		"%s; meanwhile a guessed handle can be tested by who holds vault, roots and key-encryption key",
		"%s ; d'ici là, qui détient coffre, racines et clé maîtresse peut vérifier un identifiant deviné"},
	"goes_on":     {"The rest completes by itself: oubli erasure show %s", "La suite s'achève seule : oubli erasure show %s"},
	"no_erasures": {"No erasures.", "Aucun effacement."},

	"certificate_good": {"The certificate is whole and signed by the ledger %s.", "Le certificat est intact et signé par le registre %s."},
	"certificate_own_key": {
		"It was checked against the key that it names itself. To know whose it is, compare that key with the one that the controller publishes:\n  %s",
		"Il a été vérifié avec la clé qu'il nomme lui-même. Pour savoir de qui il vient, comparez cette clé avec celle que publie le responsable de traitement :\n  %s"},

	"check_format":      {"the file is not a certificate, or was changed", "le fichier n'est pas un certificat, ou il a été modifié"},
	"check_key":         {"it is signed with another key", "il est signé avec une autre clé"},
	"check_signature":   {"what it says was changed: the signature does not fit", "son contenu a été modifié : la signature ne correspond pas"},
	"check_chain":       {"an issue is missing, out of order, or takes back what an earlier one said", "une version manque, n'est pas à sa place ou se dédit"},
	"check_stages":      {"the stages do not fit together", "les étapes sont incohérentes"},
	"check_checkpoint":  {"the ledger's checkpoint is not the ledger's", "le point de contrôle n'est pas celui du registre"},
	"check_consistency": {"the ledger was rewritten between two issues", "le registre a été réécrit entre deux versions"},
	"check_entries":     {"the ledger does not say what the certificate says", "le registre ne dit pas ce que dit le certificat"},
}
