package console

// ofRequests is the help of request and what it says.
var ofRequests = map[string]phrase{
	"cmd_request": {
		"The register of people's requests and their due dates.",
		"Le registre des demandes des personnes et leurs échéances."},
	"more_request": {
		"A request goes from received over verified and executed to answered, or is refused or withdrawn. What a bot files is unverified.",
		"Une demande est reçue, vérifiée, exécutée puis répondue, ou bien refusée ou retirée. Ce qu'un bot dépose n'est pas vérifié."},
	"example_request": {"oubli request list", "oubli request list"},
	"cmd_request_list": {
		"All requests: the open ones first, by due date.",
		"Toutes les demandes : d'abord celles en cours, par échéance."},
	"example_request_list": {"oubli request list --open", "oubli request list --open"},
	"cmd_request_show":     {"One request.", "Une demande."},
	"example_request_show": {
		"oubli request show 01KANMD3T8V4M1TQ3B3E7XJ0ZC",
		"oubli request show 01KANMD3T8V4M1TQ3B3E7XJ0ZC"},
	"cmd_request_add": {
		"Enter a request that came in. The same one is entered once.",
		"Inscrire une demande reçue. La même n'est inscrite qu'une fois."},
	"example_request_add": {
		"oubli request add --kind erasure --identity email:alice@example.com",
		"oubli request add --kind erasure --identity email:alice@example.com"},
	"cmd_request_decide": {
		"Decide about a request: verify, execute, approve, answer, refuse, withdraw.",
		"Décider d'une demande : vérifier, exécuter, approuver, répondre, refuser, retirer."},
	"more_request_decide": {
		"An erasure that a legal hold stops waits and goes on by itself when the hold ends. A copy is executed by `oubli person export`.",
		"Un effacement qu'une obligation légale de conservation arrête attend, et reprend de lui-même à la fin de celle-ci. Une copie est exécutée par `oubli person export`."},
	"example_request_decide": {
		"oubli request decide 01KANMD3T8V4M1TQ3B3E7XJ0ZC --verify",
		"oubli request decide 01KANMD3T8V4M1TQ3B3E7XJ0ZC --verify"},
	"flag_request_open":     {"Only what is not closed.", "Seulement ce qui n'est pas clos."},
	"flag_request_id":       {"Id of the request, as `oubli request list` prints it.", "Identifiant de la demande, tel que l'affiche `oubli request list`."},
	"flag_request_kind":     {"access, portability, rectification, erasure, restriction or objection.", "access (accès), portability (portabilité), rectification, erasure (effacement), restriction (limitation) ou objection (opposition)."},
	"flag_request_verified": {"You have verified who the person is.", "Vous avez vérifié qui est la personne."},
	"flag_decide_verify":    {"The person is who they say they are.", "La personne est bien celle qu'elle dit être."},
	"flag_decide_execute":   {"Do what is asked for.", "Faire ce qui est demandé."},
	"flag_decide_approve":   {"Approve what somebody else asked for (four eyes).", "Approuver ce que quelqu'un d'autre a demandé (quatre yeux)."},
	"flag_decide_answer":    {"The person has been answered.", "La personne a reçu sa réponse."},
	"flag_decide_refuse": {
		"Refuse: not-identified, unfounded, excessive, legal-obligation, legal-claims, public-interest or other.",
		"Refuser : not-identified, unfounded, excessive, legal-obligation, legal-claims, public-interest ou other."},
	"flag_decide_withdraw": {"The person does not want it any more.", "La personne n'en veut plus."},

	"request":     {"request", "demande"},
	"kind":        {"kind", "genre"},
	"received_on": {"received", "reçue le"},
	"due":         {"due", "échéance"},
	"latest":      {"at the latest", "au plus tard"},
	"handle":      {"handle", "identifiant"},
	"number":      {"%d", "%d"},
	"overdue":     {"%s OVERDUE", "%s EN RETARD"},
	"no_requests": {"No requests.", "Aucune demande."},

	"kind_access":        {"access", "accès"},
	"kind_portability":   {"portability", "portabilité"},
	"kind_rectification": {"rectification", "rectification"},
	"kind_erasure":       {"erasure", "effacement"},
	"kind_restriction":   {"restriction", "limitation"},
	"kind_objection":     {"objection", "opposition"},

	"wait_verification": {"verify who it is", "vérifier qui c'est"},
	"wait_execution":    {"to be executed", "à exécuter"},
	"wait_approval":     {"waits for another's approval", "attend l'approbation de quelqu'un d'autre"},
	"wait_hold":         {"waits for the end of a legal hold", "attend la fin d'une obligation de conservation"},
	"wait_work":         {"is being carried out", "en cours d'exécution"},
	"wait_answer":       {"to be answered", "à répondre"},

	"request_received":  {"received", "reçue"},
	"request_verified":  {"identity verified", "identité vérifiée"},
	"request_approved":  {"approved", "approuvée"},
	"request_executed":  {"executed", "exécutée"},
	"request_answered":  {"answered", "répondue"},
	"request_refused":   {"refused", "refusée"},
	"request_withdrawn": {"withdrawn", "retirée"},

	"refusal_not-identified":   {"the person could not be identified", "la personne n'a pu être identifiée"},
	"refusal_unfounded":        {"manifestly unfounded", "manifestement infondée"},
	"refusal_excessive":        {"excessive", "excessive"},
	"refusal_legal-obligation": {"a legal obligation", "une obligation légale"},
	"refusal_legal-claims":     {"legal claims", "des droits en justice"},
	"refusal_public-interest":  {"public interest", "l'intérêt public"},
	"refusal_other":            {"another reason", "un autre motif"},
}
