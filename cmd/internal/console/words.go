package console

import "github.com/oubli-store/oubli/cmd/internal/phrases"

// catalogue holds what commands say, by key: cmd_, more_ and example_ for a command, flag_ for a flag, err_ for a kind of error. Everything that
// belongs to person and erasure, and everything shared, is in both languages; a test says so.
var catalogue = merge(shared, helpOfPerson, helpOfRest, answers, ofRequests, common())

// common are the phrases that the pages use too.
func common() map[string]phrase {
	out := map[string]phrase{}
	for key, p := range phrases.Shared {
		out[key] = phrase{en: p.EN, fr: p.FR}
	}
	return out
}

func merge(parts ...map[string]phrase) map[string]phrase {
	all := map[string]phrase{}
	for _, part := range parts {
		for k, v := range part {
			if _, twice := all[k]; twice {
				panic("console: two phrases " + k)
			}
			all[k] = v
		}
	}
	return all
}

// shared is the frame of every help text.
var shared = map[string]phrase{
	"oubli": {
		"Oubli stores what people say to bots, encrypted, and can forget any one of them for good.",
		"Oubli conserve, chiffré, ce que les gens disent à des bots, et sait oublier chacun d'eux pour de bon."},
	"usage":         {"Usage:", "Utilisation :"},
	"usage_command": {"COMMAND", "COMMANDE"},
	"usage_options": {"[options]", "[options]"},
	"commands":      {"Commands:", "Commandes :"},
	"arguments":     {"Arguments:", "Arguments :"},
	"options":       {"Options:", "Options :"},
	"common":        {"Options of every command:", "Options de toutes les commandes :"},
	"example_head":  {"Example:", "Exemple :"},
	"more_help":     {"Help with examples: %s COMMAND --help", "Aide avec exemples : %s COMMANDE --help"},
	"see":           {"help", "aide"},

	"flag_server":     {"Address of the server.", "Adresse du serveur."},
	"flag_token":      {"Access token. Better in the environment or a file: others can see a command line.", "Jeton d'accès. De préférence dans l'environnement ou un fichier : la ligne de commande est visible par d'autres."},
	"flag_token_file": {"File that holds the access token (otherwise: admin.token in the data directory).", "Fichier qui contient le jeton d'accès (à défaut : admin.token du répertoire de données)."},
	"flag_tenant":     {"Tenant to manage, for an admin token of the whole instance.", "Client (tenant) à gérer, pour un jeton d'administration de toute l'instance."},
	"flag_data":       {"Data directory of the server (otherwise: ./oubli-data).", "Répertoire de données du serveur (à défaut : ./oubli-data)."},
	"flag_config":     {"File of the server's settings, name = value or JSON; flags and environment come before it.", "Fichier des réglages du serveur, nom = valeur ou JSON ; options et environnement l'emportent."},
	"flag_json":       {"Print the result as JSON and nothing else on standard output.", "Afficher le résultat en JSON, et rien d'autre sur la sortie standard."},

	"no_token": {
		"no access token: give one with OUBLI_TOKEN or --token-file, or name the server's data directory with --data",
		"pas de jeton d'accès : donnez-le par OUBLI_TOKEN ou --token-file, ou indiquez le répertoire de données du serveur avec --data"},
	"err_unreachable": {
		"%s\n  Is the server running (oubli serve), and is --server or OUBLI_SERVER right?",
		"%s\n  Le serveur tourne-t-il (oubli serve), et --server ou OUBLI_SERVER est-il exact ?"},
	"err_unauthenticated": {
		"the server does not accept this access token: it is unknown, expired or revoked\n  Give a valid one with OUBLI_TOKEN or --token-file.",
		"le serveur n'accepte pas ce jeton d'accès : il est inconnu, expiré ou révoqué\n  Donnez-en un valide par OUBLI_TOKEN ou --token-file."},
}

// helpOfPerson is the help of person and erasure.
var helpOfPerson = map[string]phrase{
	"cmd_person": {
		"Answer a person's request: what is known, what was said, a copy, erasure.",
		"Répondre à la demande d'une personne : ce que l'on sait, ce qui a été dit, une copie, l'effacement."},
	"more_person": {
		"Check first that the person is who they say they are: Oubli cannot know that. Each of these acts is recorded in the ledger.",
		"Vérifiez d'abord que la personne est bien celle qu'elle dit être : Oubli ne peut pas le savoir. Chacun de ces actes est inscrit au registre."},
	"example_person": {
		"oubli person show --identity email:alice@example.com",
		"oubli person show --identity email:alice@example.com"},

	"flag_identity": {
		"Handle of the person: namespace and id, such as email:alice@example.com or phone:+33612345678. A hyphen (-) reads it from standard input, so that it does not stay in the shell's history.",
		"Identifiant de la personne : espace de noms et valeur, par exemple email:alice@example.com ou phone:+33612345678. Un tiret (-) le lit sur l'entrée standard : il ne reste pas dans l'historique du terminal."},
	"flag_person": {
		"Person id as `oubli person show` prints it.",
		"Identifiant interne de la personne, tel que l'affiche `oubli person show`."},

	"cmd_person_show": {
		"What is known of a person: handles, state, number of events.",
		"Ce que l'on sait d'une personne : identifiants, état, nombre d'événements."},
	"example_person_show": {
		"oubli person show --identity email:alice@example.com\noubli person show --identity -          then type the handle",
		"oubli person show --identity email:alice@example.com\noubli person show --identity -          puis taper l'identifiant"},

	"cmd_person_transcript": {
		"What the person and the bots said, by conversation.",
		"Ce que la personne et les bots ont dit, par conversation."},
	"example_person_transcript": {
		"oubli person transcript --identity email:alice@example.com",
		"oubli person transcript --identity email:alice@example.com"},
	"flag_conversation": {"Only this conversation.", "Seulement cette conversation."},
	"flag_limit":        {"At most so many events.", "Au plus ce nombre d'événements."},
	"flag_all":          {"Show technical events too (intents, slots, custom events).", "Montrer aussi les événements techniques (intentions, variables, événements libres)."},

	"cmd_person_export": {
		"The person's copy of their data (access and portability): JSON, a page to print, or a zip of both with the files.",
		"La copie des données de la personne (accès et portabilité) : JSON, page à imprimer, ou zip des deux avec les fichiers."},
	"example_person_export": {
		"oubli person export --identity email:alice@example.com --output alice.json\noubli person export --identity email:alice@example.com --format html --language fr --output alice.html",
		"oubli person export --identity email:alice@example.com --output alice.json\noubli person export --identity email:alice@example.com --format html --output alice.html"},
	"flag_export_format":      {"json (to hand on), html (a page to print) or zip (both, and the files).", "json (à réutiliser), html (page à imprimer) ou zip (les deux, avec les fichiers)."},
	"flag_certificate_format": {"json (signed, for `oubli verify`) or html (a letter to print).", "json (signé, pour `oubli verify`) ou html (lettre à imprimer)."},
	"flag_page_language":      {"Language of the page, en or fr (otherwise French with OUBLI_LANG=fr, or as the tenant's setting says).", "Langue de la page, en ou fr (à défaut : le français avec OUBLI_LANG=fr, ou le réglage du client)."},
	"flag_output": {
		"File to write to, readable by you alone (otherwise standard output). An existing file is not overwritten.",
		"Fichier à écrire, lisible par vous seul (à défaut : sortie standard). Un fichier existant n'est pas écrasé."},

	"cmd_person_consent": {
		"What the person answered when they were asked for consent: to what, when, how, and which notice they had seen.",
		"Ce que la personne a répondu quand on lui a demandé son consentement : à quoi, quand, comment, et quelle information elle avait vue."},
	"more_person_consent": {
		"With --output the proof is written to a file: each answer and each notice with its time and number, as they were stored. The ledger records that you read it.",
		"Avec --output, la preuve est écrite dans un fichier : chaque réponse et chaque information avec sa date et son numéro, telles qu'enregistrées. La lecture est inscrite au registre."},
	"example_person_consent": {
		"oubli person consent --identity email:alice@example.com\noubli person consent --identity email:alice@example.com --output proof.json",
		"oubli person consent --identity email:alice@example.com\noubli person consent --identity email:alice@example.com --output preuve.json"},

	"cmd_person_erase": {
		"Forget a person for good, under all their handles.",
		"Oublier une personne pour de bon, sous tous ses identifiants."},
	"more_person_erase": {
		"It first shows what would go, and asks. When it has answered, nothing of the person can be read any more, by anybody; there is no way back.\n\nA part can be erased instead: one conversation, or what was said before a day. What stays is stored again under new keys, and meanwhile the person cannot be read or written.",
		"La commande montre d'abord ce qui disparaîtrait, et demande confirmation. Dès sa réponse, plus rien de la personne n'est lisible, par qui que ce soit ; il n'y a pas de retour possible.\n\nOn peut n'effacer qu'une partie : une conversation, ou ce qui a été dit avant un jour. Ce qui reste est conservé de nouveau sous d'autres clés ; pendant ce temps, rien de la personne ne peut être lu ni écrit."},
	"example_person_erase": {
		"oubli person erase --identity email:alice@example.com --reason person-request --dry-run\noubli person erase --identity email:alice@example.com --reason person-request --ticket T-4711\noubli person erase --identity - --reason person-request --conversation shop-fr/c-42",
		"oubli person erase --identity email:alice@example.com --reason person-request --dry-run\noubli person erase --identity email:alice@example.com --reason person-request --ticket T-4711\noubli person erase --identity - --reason person-request --conversation shop-fr/c-42"},
	"flag_reason": {
		"Why: person-request, consent-withdrawn, retention, court-order or other.",
		"Pourquoi : person-request (demande de la personne), consent-withdrawn (consentement retiré), retention (durée de conservation), court-order (décision de justice) ou other (autre)."},
	"flag_note":   {"A note for the record. It is sealed, and expires.", "Une note pour le dossier. Elle est scellée, et expire."},
	"flag_ticket": {"Number of the request in your own system. It is sealed, and expires.", "Numéro de la demande dans votre propre outil. Il est scellé, et expire."},
	"flag_refuse_for": {
		"Also refuse, for so many days (at most 732d), every event that names a handle of this person. Only when they ask for it: meanwhile someone who holds the vault, its roots and the key-encryption key can test whether a handle they guess is refused.",
		"Refuser aussi, pendant ce nombre de jours (732d au plus), tout événement qui nomme un identifiant de cette personne. Seulement à sa demande : pendant ce temps, qui détient le coffre, ses racines et la clé maîtresse peut vérifier si un identifiant deviné est refusé."},
	"flag_erase_conversation": {
		"Only this conversation of a bot, as the transcript names it: shop-fr/c-42.",
		"Seulement cette conversation d'un bot, telle que la nomme la transcription : shop-fr/c-42."},
	"flag_erase_before": {
		"Only what was said before this day (in the tenant's time zone), such as 2026-01-31.",
		"Seulement ce qui a été dit avant ce jour (dans le fuseau horaire du client), par exemple 2026-01-31."},
	"flag_yes":     {"Do not ask.", "Ne pas demander confirmation."},
	"flag_dry_run": {"Only show what would go.", "Montrer seulement ce qui disparaîtrait."},

	"cmd_person_restrict": {
		"\"Do not use my data while we sort this out\": withhold the events, store no more, leave the person out of the figures.",
		"« N'utilisez pas mes données tant que ce n'est pas réglé » : les événements ne sont plus montrés, plus rien n'est enregistré, la personne sort des statistiques."},
	"more_person_restrict": {
		"Nothing is erased. Bots are refused, transcripts are withheld; the data protection officer can still make the person's copy.",
		"Rien n'est effacé. Les bots sont refusés, les transcriptions retenues ; le délégué à la protection des données peut encore faire la copie de la personne."},
	"example_person_restrict": {
		"oubli person restrict --identity email:alice@example.com",
		"oubli person restrict --identity email:alice@example.com"},
	"cmd_person_unrestrict": {
		"End a restriction.",
		"Mettre fin à une limitation."},
	"more_person_unrestrict": {
		"What was refused meanwhile was not stored and does not come back; the figures count the person again from now on.",
		"Ce qui a été refusé entre-temps n'a pas été enregistré et ne revient pas ; la personne compte de nouveau dans les statistiques à partir de maintenant."},
	"example_person_unrestrict": {
		"oubli person unrestrict --identity email:alice@example.com",
		"oubli person unrestrict --identity email:alice@example.com"},
	"cmd_person_object": {
		"\"Leave me out of your statistics\": the figures no longer count the person; everything else goes on.",
		"« Pas de statistiques sur moi » : la personne ne compte plus dans les chiffres ; le reste continue."},
	"example_person_object": {
		"oubli person object --identity email:alice@example.com",
		"oubli person object --identity email:alice@example.com"},
	"cmd_person_unobject": {
		"End an objection.",
		"Mettre fin à une opposition."},
	"example_person_unobject": {
		"oubli person unobject --identity email:alice@example.com",
		"oubli person unobject --identity email:alice@example.com"},
	"cmd_person_hold": {
		"A court or a lawyer needs the data kept: nothing of the person can be erased or expire until the hold ends.",
		"Un tribunal ou un avocat exige la conservation : rien de la personne ne peut être effacé ni expirer jusqu'à la fin de cette obligation."},
	"example_person_hold": {
		"oubli person hold --identity email:alice@example.com --reason court-order",
		"oubli person hold --identity email:alice@example.com --reason court-order"},
	"cmd_person_unhold": {
		"End a legal hold: erasure and retention go their way again.",
		"Mettre fin à une obligation de conservation : effacement et durée de conservation reprennent leur cours."},
	"example_person_unhold": {
		"oubli person unhold --identity email:alice@example.com",
		"oubli person unhold --identity email:alice@example.com"},
	"cmd_person_admit": {
		"Lift a refusal early: somebody who was erased with --refuse-for comes back.",
		"Lever un refus avant son terme : une personne effacée avec --refuse-for revient."},
	"more_person_admit": {
		"From now on events that name the handle, or another one that was erased with it, are taken again. Nothing that was erased comes back. The ledger notes the erasure concerned, never the handle.",
		"Désormais, les événements qui nomment cet identifiant, ou un autre effacé avec lui, sont acceptés de nouveau. Rien de ce qui a été effacé ne revient. Le registre note l'effacement concerné, jamais l'identifiant."},
	"example_person_admit": {
		"oubli person admit --identity email:alice@example.com",
		"oubli person admit --identity email:alice@example.com"},
	"flag_admit_identity": {
		"A handle that is refused, such as email:alice@example.com; - reads it from standard input.",
		"Un identifiant refusé, par exemple email:alice@example.com ; - le lit sur l'entrée standard."},
	"flag_state_reason": {
		"Why, for the ledger: person-request, court-order or other.",
		"Pourquoi, pour le registre : person-request (demande de la personne), court-order (décision de justice) ou other (autre)."},

	"cmd_erasure": {
		"See how far erasures have come.",
		"Voir où en sont les effacements."},
	"example_erasure": {
		"oubli erasure list",
		"oubli erasure list"},
	"cmd_erasure_list": {
		"All erasures, the newest first.",
		"Tous les effacements, le plus récent d'abord."},
	"example_erasure_list": {
		"oubli erasure list",
		"oubli erasure list"},
	"cmd_erasure_show": {
		"The stages of one erasure.",
		"Les étapes d'un effacement."},
	"example_erasure_show": {
		"oubli erasure show 01KANMD3T8V4M1TQ3B3E7XJ0ZC",
		"oubli erasure show 01KANMD3T8V4M1TQ3B3E7XJ0ZC"},
	"cmd_erasure_certificate": {
		"The signed certificate of an erasure: what was destroyed and when, what is left and until when.",
		"Le certificat signé d'un effacement : ce qui a été détruit et quand, ce qui reste et jusqu'à quand."},
	"more_erasure_certificate": {
		"It can be asked for once the keys are destroyed, and again later: it then says more. Who gets it checks it with `oubli verify`, without any server and without trusting you.",
		"On peut le demander dès que les clés sont détruites, puis de nouveau plus tard : il en dit alors davantage. Qui le reçoit le vérifie avec `oubli verify`, sans serveur et sans devoir vous croire."},
	"example_erasure_certificate": {
		"oubli erasure certificate 01KANMD3T8V4M1TQ3B3E7XJ0ZC --output certificate.json\noubli erasure certificate 01KANMD3T8V4M1TQ3B3E7XJ0ZC --format html --output letter.html",
		"oubli erasure certificate 01KANMD3T8V4M1TQ3B3E7XJ0ZC --output certificat.json\noubli erasure certificate 01KANMD3T8V4M1TQ3B3E7XJ0ZC --format html --output lettre.html"},
	"cmd_verify": {
		"Check a certificate of an erasure, offline.",
		"Vérifier un certificat d'effacement, hors ligne."},
	"more_verify": {
		"Exit code 6, with the name of the check that failed, if anything in it was changed. Give the public key that the controller publishes (`oubli ledger checkpoint` prints it): without --key the file is checked against the key that it names itself.",
		"Code de sortie 6, avec le nom du contrôle qui échoue, si quoi que ce soit a été modifié. Donnez la clé publique que publie le responsable de traitement (`oubli ledger checkpoint` l'affiche) : sans --key, le fichier est vérifié avec la clé qu'il nomme lui-même."},
	"example_verify": {
		"oubli verify certificate.json --key oubli/07…/default+c19a1c5a+AXX8…",
		"oubli verify certificat.json --key oubli/07…/default+c19a1c5a+AXX8…"},
	"flag_certificate": {"File of the certificate; a hyphen (-) reads standard input.", "Fichier du certificat ; un tiret (-) lit l'entrée standard."},
	"flag_key":         {"Public key of the ledger, or a file that holds it.", "Clé publique du registre, ou un fichier qui la contient."},
	"flag_erasure_id":  {"Id of the erasure, as `oubli erasure list` prints it.", "Identifiant de l'effacement, tel que l'affiche `oubli erasure list`."},
}
